"""`meds3 trees`: look at search trees, write the report page, and change between the forms trees are kept in."""

import io
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.data.published_trees import read_published, write_published
from meds3core.data.trees import Failure, read_failures, read_trees, write_trees
from meds3core.errors import UserError
from meds3core.report.page import write_report
from meds3core.report.terminal import path_text, tree_table, tree_view
from meds3core.types.tree import Tree

app = typer.Typer(no_args_is_help=True, help="Look at search trees, report them, export and import them.")

TREES, PARTIAL, FAILURES = "trees.jsonl", "trees.partial.jsonl", "failures.jsonl"

Source = Annotated[Path, typer.Argument(metavar="TREES", help="A tree file, or the folder of a search")]
Out = Annotated[Path, typer.Option("--out", help="File to write")]


class Form(StrEnum):
    """The forms trees are written in."""

    PUBLISHED = "published"
    NESTED = "nested"
    JSONL = "jsonl"


class TreeSource:
    """A tree file or a search's folder, read one tree at a time; `notes` fill up while it is read."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self.folder = path if path.is_dir() else path.parent
        self.file = path
        self.partial = path.name == PARTIAL
        if path.is_dir():
            self.partial = not (path / TREES).exists()
            self.file = path / (PARTIAL if self.partial else TREES)
        if not self.file.exists():
            missing = (
                f"{path}: neither {TREES} nor {PARTIAL} in this folder" if path.is_dir() else f"{path}: no such file"
            )
            raise UserError(missing)
        if self.partial:
            self.notes.append(
                "This search has not finished: these are the trees it has grown so far, in the order they came."
            )

    def trees(self) -> Iterator[Tree]:
        """The trees. A cut last line is an error in a finished file and a note in one still being written."""
        return read_trees(self.file, on_cut=self._cut if self.partial else None)

    def failures(self) -> list[Failure]:
        """What the search recorded as failed."""
        path = self.folder / FAILURES
        return list(read_failures(path)) if path.exists() else []

    def _cut(self, message: str) -> None:
        self.notes.append("The last line is cut short and was left out; the search grows that tree again.")


@app.command()
def show(
    source: Source,
    question: Annotated[str | None, typer.Option(help="Show the tree of this question id")] = None,
    index: Annotated[int | None, typer.Option(min=1, help="Show the tree of this number, counted from 1")] = None,
    path: Annotated[int | None, typer.Option(metavar="NODE", help="Print the steps from the root to this node")] = None,
    width: Annotated[int | None, typer.Option(min=20, help="Columns to use; default: the terminal's")] = None,
) -> None:
    """Print a tree in the terminal; without --question or --index, a file of several trees is listed."""
    origin = TreeSource(source)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a text may hold signs that this terminal cannot show
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    if question is None and index is None:
        trees = origin.trees()
        first, second = next(trees, None), next(trees, None)
        if first is None:
            raise UserError(f"{origin.file}: no tree in it")
        if second is not None:
            if path is not None:
                raise UserError("--path needs one tree: say which with --question or --index")
            console.print(tree_table(origin.trees()))
            _say(origin.notes)
            return
        chosen = first
    else:
        chosen = _find(origin, question, index)
    if path is None:
        console.print(tree_view(chosen))
    elif 0 <= path < len(chosen.nodes):
        console.print(path_text(chosen, path))
    else:
        raise UserError(f"--path {path}: this tree has nodes 0 to {len(chosen.nodes) - 1}")
    _say(origin.notes)


@app.command()
def report(
    source: Source,
    out: Annotated[Path | None, typer.Option(help="File to write; default: report.html beside the trees")] = None,
) -> None:
    """Write one self-contained HTML page with the totals and browsable trees, and print where it is."""
    origin = TreeSource(source)
    target = out or origin.folder / "report.html"
    # The file is read to its end before the page's head is written, so notes made on the way are in it.
    write_report(origin.trees(), origin.failures(), target, notes=origin.notes)
    _say(origin.notes)
    typer.echo(str(target))


@app.command("export")
def export_trees(source: Source, out: Out, form: Annotated[Form, typer.Option(help="Form to write")]) -> None:
    """Write trees as `published` or `nested` pos/neg records (finished paths only), or as `jsonl`, which is exact."""
    origin = TreeSource(source)
    trees = origin.trees()
    if form is Form.JSONL:
        count = write_trees(out, trees)
    else:
        count = write_published(out, trees, "nested" if form is Form.NESTED else "published")
    _say(origin.notes)
    typer.echo(f"{count} trees written to {out}")


@app.command("import")
def import_trees(source: Annotated[Path, typer.Argument(metavar="FILE", help="A published file")], out: Out) -> None:
    """Rebuild trees from a published pos/neg file of either form, and say what such a file cannot tell."""
    notes: dict[str, int] = {}

    def trees() -> Iterator[Tree]:
        for imported in read_published(source):
            for note in imported.notes:
                notes[note] = notes.get(note, 0) + 1
            yield imported.tree

    count = write_trees(out, trees())
    _say([f"{note} ({times} of {count} trees)" for note, times in notes.items()])
    typer.echo(f"{count} trees written to {out}")


def _find(origin: TreeSource, question: str | None, index: int | None) -> Tree:
    if question is not None and index is not None:
        raise UserError("--question and --index both name a tree: give one of them")
    number = 0
    for number, tree in enumerate(origin.trees(), start=1):
        if number == index or tree.question.id == question:
            return tree
    wanted = f"--index {index}" if question is None else f"--question {question}"
    raise UserError(f"{wanted}: not among the {number} trees of {origin.file}")


def _say(notes: list[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}", err=True)
