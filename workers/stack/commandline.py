"""What the stack adds to the `meds3` command; named in pyproject.toml under `meds3.commands`.

Django is set up when a command is called; this process imports no model library.
"""

import os
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to serve on; other than loopback needs MEDS3_HOSTS.")]
Port = Annotated[int | None, typer.Option(help="Port; without one, the last used or the first free from 8000 on.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")]
OwnerName = Annotated[str, typer.Option(help="User name of the first owner, made when there is nobody yet.")]
TeamName = Annotated[str, typer.Option(help="Name of their team.")]


def up(arguments: Sequence[str]) -> None:
    """`meds3 up`."""

    def command(
        host: Host = "127.0.0.1",
        port: Port = None,
        no_browser: NoBrowser = False,
        owner: OwnerName = "owner",
        team: TeamName = "My team",
    ) -> None:
        """Run MedS3 Studio on this machine, in the foreground: pages, queue, workers. Ctrl-C stops everything."""
        level = _ready()
        from workers.stack.up import Options
        from workers.stack.up import up as run

        raise typer.Exit(run(Options(host, port, not no_browser, owner, team, level)))

    _call(command, "meds3 up", arguments)


def _ready() -> str:
    """Django, with this terminal for a person; gives the level of the stack's own logs."""
    level = os.environ.get("MEDS3_LOG_LEVEL", "INFO")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")
    os.environ["MEDS3_LOG_LEVEL"] = "ERROR"
    os.umask(0o077)  # what a home holds is its owner's
    import django

    django.setup()
    return level


def _call(command: Callable[..., None], name: str, arguments: Sequence[str]) -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    code = app(list(arguments), standalone_mode=False, prog_name=name)
    raise typer.Exit(code if isinstance(code, int) else 0)
