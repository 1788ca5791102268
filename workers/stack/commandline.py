"""What the stack adds to the `meds3` command; named in pyproject.toml under `meds3.commands`.

Django is set up when a command is called; this process imports no model library.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
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


def demo(arguments: Sequence[str]) -> None:
    """`meds3 demo`."""

    def command(
        host: Host = "127.0.0.1",
        port: Port = None,
        no_browser: NoBrowser = False,
        owner: OwnerName = "owner",
        team: TeamName = "My team",
        train: Annotated[int, typer.Option(min=1, help="Clinic questions to learn from.")] = 400,
        held_out: Annotated[int, typer.Option(min=1, help="Clinic questions to measure on.")] = 1000,
        settings: Annotated[Path | None, typer.Option(help="File with the loop's settings as JSON.")] = None,
        exit_when_done: Annotated[bool, typer.Option(help="Stop everything when the loop has ended.")] = False,
    ) -> None:
        """Run MedS3 Studio with a sample: the whole loop on the synthetic clinic, through the queue."""
        level = _ready()
        from meds3core.config.evolution import EvolutionConfig
        from workers.stack.demo import Demo, Sample
        from workers.stack.up import Options
        from workers.stack.up import up as run

        sample = Sample(train=train, held_out=held_out, exit_when_done=exit_when_done)
        if settings is not None:
            own = EvolutionConfig.model_validate_json(settings.read_text(encoding="utf-8"))
            sample = replace(sample, settings=own)
        raise typer.Exit(run(Options(host, port, not no_browser, owner, team, level), Demo(sample)))

    _call(command, "meds3 demo", arguments)


def prepare(arguments: Sequence[str]) -> None:
    """`meds3 prepare`."""

    def command() -> None:
        """Bring the database's tables, static files and the bundled model to this version, as `meds3 up` does first."""
        _ready()
        from workers.stack.home import prepare as run

        run(typer.echo)

    _call(command, "meds3 prepare", arguments)


def backup(arguments: Sequence[str]) -> None:
    """`meds3 backup`."""

    def command(
        to: Annotated[Path | None, typer.Option(help="The archive's name; else a new one in MEDS3_BACKUPS.")] = None,
        files: Annotated[bool, typer.Option(help="Whether stored files go along with the database.")] = True,
    ) -> None:
        """Write database, secrets and files into one archive, while everything goes on. Keep it as a secret."""
        _ready()
        from workers.backups.write import backup_write

        path, contents = backup_write(target=to, with_files=files)
        typer.echo(f"{path}: {len(contents.members)} files, {path.stat().st_size / 2**20:,.1f} MiB")

    _call(command, "meds3 backup", arguments)


def restore(arguments: Sequence[str]) -> None:
    """`meds3 restore`."""

    def command(archive: Annotated[Path, typer.Argument(help="Made by `meds3 backup`.")]) -> None:
        """Put an archive in the place of what this instance has. Everything must be stopped; what was there is kept."""
        _ready()
        from workers.backups.restore import backup_restore

        backup_restore(archive=archive, say=typer.echo)

    _call(command, "meds3 restore", arguments)


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
