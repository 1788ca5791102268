"""Options of commands that run a graph of stages."""

from typing import Annotated

import typer

Processes = Annotated[
    int | None, typer.Option(min=1, help="Stages at once; else 1 with a GPU, and one per core without.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Of each stage; else the cores are shared out.")]
