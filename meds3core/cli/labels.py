"""`meds3 labels`: make training data from trees, and look at it as a model will see it."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from meds3core.cli.settings import with_changes
from meds3core.cli.trees import TreeSource
from meds3core.config.labels import LabelConfig, PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.data.labels import (
    LabelCard,
    LabelSource,
    file_source,
    read_human_labels,
    read_labels,
    refuse_existing,
    write_labels,
)
from meds3core.data.published_trees import read_published
from meds3core.data.trees import lines_of
from meds3core.errors import ConfigError, PolicyError
from meds3core.labels.base import NOUNS, StepJudge
from meds3core.labels.build import build_labels
from meds3core.types.labels import LabelKind
from meds3core.types.tree import Tree

app = typer.Typer(no_args_is_help=True, help="Make training data from search trees, and look at it.")

_CONFIGS: dict[str, LabelConfig] = {"sft": SftLabelConfig(), "pairs": PairLabelConfig(), "steps": StepLabelConfig()}


class Kind(StrEnum):
    """What training learns from."""

    sft = "sft"
    pairs = "pairs"
    steps = "steps"


class JudgeName(StrEnum):
    """Who can judge steps."""

    clinic = "clinic"


@app.command()
def build(
    kind: Annotated[Kind, typer.Argument(help="sft: to imitate; pairs: for DPO; steps: for a process reward model.")],
    trees: Annotated[
        list[Path], typer.Option(help="A tree file, a search's folder or a published pos/neg file; may be given again.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; must not exist.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, e.g. per_question=2, label=soft, gap=0.4")
    ] = None,
    human: Annotated[
        Path | None, typer.Option(help='JSONL of people\'s labels of steps: {"prefix_hash", "label"} a line.')
    ] = None,
    judge: Annotated[
        JudgeName | None, typer.Option(help="Who judges steps, for label consensus (then the default) or human.")
    ] = None,
    judge_error: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of steps the judge errs on.")] = 0.0,
    judge_seed: Annotated[int, typer.Option(help="Which steps it errs on.")] = 0,
) -> None:
    """Label trees and say what was kept and what was dropped, and why."""
    settings = list(changes or [])
    if judge is not None and not any(change.partition("=")[0].strip() == "label" for change in settings):
        settings.append(f"label={LabelKind.CONSENSUS.value}")
    if judge is not None and kind is not Kind.steps:
        raise ConfigError(f"--judge is for step labels, not for {kind.value}")
    config = with_changes(_CONFIGS[kind.value], settings)
    refuse_existing(out)
    notes: list[str] = []
    sources = [file_source(path) for path in map(_tree_file, trees)]
    if human is not None:
        sources.append(file_source(human, "human"))
    if judge is not None:
        sources.append(LabelSource(role="judge", name=f"{judge.value}, error {judge_error:g}, seed {judge_seed}"))
    label_set = build_labels(
        _all_trees(trees, notes),
        config,
        judge=None if judge is None else _judge(judge_error, judge_seed),
        human=None if human is None else read_human_labels(human),
    )
    for note in dict.fromkeys(notes):
        typer.echo(f"note: {note}", err=True)
    card = write_labels(out, label_set, sources)
    typer.echo(summary(card, out))


@app.command()
def preview(
    folder: Annotated[Path, typer.Argument(metavar="LABELS", help="Folder of a label set.")],
    policy: Annotated[Path, typer.Option(help="Folder of the policy (or any folder with its tokenizer).")],
    count: Annotated[int, typer.Option(min=1, help="How many examples.")] = 3,
    start: Annotated[int, typer.Option(min=1, help="Number of the first one, counted from 1.")] = 1,
    width: Annotated[int | None, typer.Option(min=40, help="Columns to use; default: the terminal's.")] = None,
) -> None:
    """Print examples exactly as the model will see them: tokens, what is trained on, where labels sit."""
    from rich.console import Console

    from meds3core.cli.label_preview import previews
    from meds3core.encoding.trajectory import TrajectoryEncoder

    label_set = read_labels(folder)
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    for piece in previews(label_set, TrajectoryEncoder(_tokenizer(policy)), start, count):
        console.print(piece)


def summary(card: LabelCard, folder: Path) -> str:
    """What was kept and dropped, in lines."""
    counts = card.counts
    source = f"{counts.judgements:,} judgements" if counts.judgements else f"{counts.trees:,} trees"
    lines = [f"{counts.kept:,} {NOUNS[card.kind]} of {source}, {counts.questions:,} questions: {folder}"]
    if counts.dropped:
        wide = max(len(f"{times:,}") for times in counts.dropped.values())
        lines.append("not kept:")
        lines += [f"  {times:>{wide},}  {reason}" for reason, times in counts.dropped.items()]
    return "\n".join(lines)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise PolicyError(f"{folder}: no tokenizer (tokenizer.json) in this folder. Name the folder of a model.")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{folder}: the tokenizer cannot be loaded ({type(error).__name__})") from error


def _judge(error: float, seed: int) -> StepJudge:
    from meds3core.sandbox.judge import ClinicJudge

    return ClinicJudge(error, seed=seed)


def _tree_file(path: Path) -> Path:
    return TreeSource(path).file


def _all_trees(paths: list[Path], notes: list[str]) -> Iterator[Tree]:
    for path in paths:
        origin = TreeSource(path)
        if _is_published(origin.file):
            for imported in read_published(origin.file):
                notes.extend(imported.notes)
                yield imported.tree
        else:
            yield from origin.trees()
            notes.extend(origin.notes)


def _is_published(path: Path) -> bool:
    """Whether a file holds pos/neg records: an array, or lines without our format's name."""
    first = next(lines_of(path), (0, b"", False))[1].lstrip()
    return first.startswith(b"[") or (b'"pos"' in first and b'"format"' not in first)
