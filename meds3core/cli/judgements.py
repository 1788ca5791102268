"""`meds3 judgements`: files of what people said of steps, compared, converted, made into labels."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.labels import summary
from meds3core.cli.settings import with_changes
from meds3core.config.labels import JudgementLabelConfig
from meds3core.data.labels import LabelSource, file_source, refuse_existing, write_labels
from meds3core.data.rows import RowError
from meds3core.data.tables import CsvWriter
from meds3core.data.write import atomic_text
from meds3core.errors import UserError
from meds3core.evaluation.intervals import Estimate
from meds3core.judgements.agreement import AgreementFigures, Said, agreement_figures
from meds3core.judgements.files import judgement_lines, read_judgements
from meds3core.judgements.labels import judged_labels
from meds3core.labels.prefix import prefix_hash
from meds3core.types.judgements import StepJudgement

app = typer.Typer(no_args_is_help=True, help="What people said of steps: compare, convert, make labels.")

NAMED = 5

Files = Annotated[
    list[Path], typer.Argument(help="Files of judgements: our JSONL, PRM800K's, or a Label Studio export; told apart.")
]


class Form(StrEnum):
    """Forms that judgements are written in."""

    jsonl = "jsonl"
    prm800k = "prm800k"
    trl = "trl"
    csv = "csv"


class CsvKind(StrEnum):
    """Two forms of CSV."""

    exact = "exact"
    spreadsheet = "spreadsheet"


@app.command()
def agreement(
    files: Files,
    out: Annotated[Path | None, typer.Option(help="JSON file for all figures.")] = None,
) -> None:
    """Print how far people agree with each other, and with answers that are known."""
    said: dict[tuple[str, str], Said] = {}
    for one in read_all(files):
        step = prefix_hash(one.question, one.bodies)
        if one.blind and not one.adjudicated:  # a person's first word; files tell their order
            said.setdefault(
                (step, one.annotator),
                Said(
                    item=step,
                    question=one.question.content_hash,
                    annotator=one.annotator,
                    verdict=one.verdict,
                    errors=frozenset(one.errors),
                    seconds=one.seconds,
                    known=one.control,
                ),
            )
    figures = agreement_figures(said.values())
    for line in agreement_words(figures):
        typer.echo(line)
    if out is not None:
        with atomic_text(out) as file:
            file.write(figures.model_dump_json(indent=2) + "\n")


@app.command()
def convert(
    files: Files,
    out: Annotated[Path, typer.Option(help="File to write; replaced as a whole.")],
    to: Annotated[Form, typer.Option(help="jsonl: everything; prm800k: a line per person and solution; trl; csv.")],
    csv_form: Annotated[CsvKind, typer.Option(help="Of CSV; spreadsheet: nothing in it can be run.")] = CsvKind.exact,
) -> None:
    """Write judgements in another form."""
    judgements = read_all(files)
    with atomic_text(out) as file:
        file.writelines(judgement_lines(judgements, to.value, CsvWriter(csv_form.value)))
    typer.echo(f"{len(judgements):,} judgements: {out}")


@app.command()
def labels(
    files: Files,
    out: Annotated[Path, typer.Option(help="Folder of the label set; must not exist.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, e.g. rule=mean, least=2, neutral=half")
    ] = None,
) -> None:
    """Make a label set: `meds3 train prm --data ROLLOUTS --beside OUT` learns from it beside rollouts."""
    config = with_changes(JudgementLabelConfig(), changes or [])
    refuse_existing(out)
    sources: list[LabelSource] = [file_source(path, "human") for path in files]
    card = write_labels(out, judged_labels(read_all(files), config), sources)
    typer.echo(summary(card, out))


def read_all(files: Sequence[Path]) -> list[StepJudgement]:
    """Everything in these files. Raises `UserError` for a row that is none, with its place."""
    found, wrong = [], []
    for path in files:
        for row in read_judgements(path):
            if isinstance(row, RowError):
                wrong.append(f"{path}: {row}")
            else:
                found.append(row)
    if wrong:
        more = f"\nand {len(wrong) - NAMED:,} more" if len(wrong) > NAMED else ""
        raise UserError("\n".join(wrong[:NAMED]) + more)
    if not found:
        raise UserError("there is no judgement in " + ", ".join(map(str, files)))
    return found


def agreement_words(figures: AgreementFigures) -> list[str]:
    """The figures as lines."""

    def told(estimate: Estimate | None) -> str:
        return "–" if estimate is None else str(estimate)

    lines = [
        f"{figures.judgements:,} judgements of {figures.steps:,} steps, {figures.several:,} by several people",
        f"Krippendorff's alpha: {told(figures.nominal)} nominal, {told(figures.ordinal)} ordinal; all the same on "
        f"{told(figures.same)}",
    ]
    for pair in figures.pairs:
        lines.append(f"  {pair.first} and {pair.second}: kappa {told(pair.kappa)} over {pair.steps:,} steps")
    for kind in figures.kinds:
        lines.append(f"  {kind.kind}: named {kind.named:,} times, alpha {told(kind.alpha)}")
    for each in figures.annotators:
        speed = f", {each.seconds[1]:.1f} s each" if each.seconds else ""
        known = f", right on {told(each.control_accuracy)} of control items" if each.controls else ""
        lines.append(f"  {each.annotator}: {each.judgements:,} judgements{speed}{known}")
    return lines
