"""Commands that other packages add to `meds3`: entry points of the group `meds3.commands`.

This library imports none of them by name. An entry point is a function that takes the rest of the command line; it is
loaded when its command is called, so that `meds3 --help` stays quick.
"""

from importlib.metadata import EntryPoint, entry_points

import typer

GROUP = "meds3.commands"
REST = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""The command's own parser reads everything behind its name, `--help` too."""


def add_commands(app: typer.Typer) -> None:
    """Put every such command under `app`."""
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        _add(app, entry)


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    @app.command(entry.name, context_settings=REST, help=f"Of {entry.module.partition('.')[0]}; has its own --help.")
    def run(context: typer.Context) -> None:
        entry.load()(context.args)
