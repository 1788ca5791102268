"""`meds3 prm`: scores of search trees by a process reward model, for people and for tools that show trees."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.results_progress import ResultsDisplay
from meds3core.cli.running import stopped_by_signals, talking_console
from meds3core.cli.settings import with_changes
from meds3core.cli.trees import TreeSource
from meds3core.config.decoding import ScorerConfig
from meds3core.data.tree_scores import TreeScores, write_tree_scores
from meds3core.errors import Cancelled, ConfigError, ContextOverflow
from meds3core.prm.base import TrajectoryScorer
from meds3core.prm.loading import load_scorer
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.types.tree import Tree

app = typer.Typer(no_args_is_help=True)


class Head(StrEnum):
    """How the logits of a model without a card are read."""

    sigmoid = "sigmoid"
    sigmoid1 = "sigmoid1"
    softmax1 = "softmax1"


HeadOption = Annotated[
    Head | None,
    typer.Option(help="For a published model without a card: sigmoid1 (trained by cross-entropy) or softmax1."),
]


@app.callback()
def prm() -> None:
    """Use a process reward model."""


@app.command()
def score(
    model: Annotated[Path, typer.Option("--prm", help="Folder of the process reward model.")],
    trees: Annotated[Path, typer.Option(help="A tree file, or the folder of a search.")],
    out: Annotated[Path, typer.Option(help="File to write: per tree its hash, its question's id, a score per node.")],
    base: Annotated[Path | None, typer.Option(help="Folder of an adapter's base model.")] = None,
    score_head: HeadOption = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of ScorerConfig.")
    ] = None,
) -> None:
    """Score every node of every tree, each tree in one pass."""
    console = talking_console()
    config = with_changes(ScorerConfig(), change or [])
    source = TreeSource(trees)
    total = sum(1 for _ in source.trees())
    scorer = load_scorer(model, config, score_head=score_head.value if score_head else None, base=base)
    cancel, display = CancelToken(), ResultsDisplay(console)
    try:
        if scorer.info.kind != "prm":
            raise ConfigError(f"{model} is an outcome reward model; nodes are scored by a process one")
        with stopped_by_signals(cancel), display:
            rows = list(_scored(source.trees(), total, scorer, display, cancel))
    except (Cancelled, KeyboardInterrupt):
        console.print("Stopped; nothing was written.")
        raise typer.Exit(130) from None
    finally:
        scorer.close()
    count = write_tree_scores(out, rows)
    too_long = sum(not row.scores for row in rows)
    note = f"; {too_long} do not fit the model and have no scores" if too_long else ""
    console.print(f"scores of {count} trees in {out}{note}")


def _scored(
    trees: Iterator[Tree], total: int, scorer: TrajectoryScorer, display: ResultsDisplay, cancel: CancelToken
) -> Iterator[TreeScores]:
    display.emit(ProgressEvent(kind="tree-scores-started", done=0, total=total))
    for done, tree in enumerate(trees, start=1):
        if cancel.cancelled:
            raise Cancelled("scoring was cancelled")
        try:
            scores = tuple(scorer.score_tree(tree))
        except ContextOverflow:
            scores = ()
        yield TreeScores(tree=tree.content_hash, question=tree.question.id, prm=scorer.info.model_hash, scores=scores)
        display.emit(ProgressEvent(kind="tree-scores", done=done, total=total))
