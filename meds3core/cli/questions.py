"""`meds3 questions`: look at question files, and draw a training sample from them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from meds3core.cli.columns import MAP_HELP, column_mapping
from meds3core.data.check import FileReport, check_file
from meds3core.data.curriculum import CurriculumSample, CurriculumSettings, sample_curriculum
from meds3core.data.hub import iterate_hub
from meds3core.data.overlap import OverlapSettings, QuestionIndex, find_overlap
from meds3core.data.pass_rates import load_pass_rates
from meds3core.data.read import NAMED_ERRORS, load_questions, refusal
from meds3core.data.rows import RowError
from meds3core.data.write import write_questions
from meds3core.errors import QuestionFileError, UserError
from meds3core.types.question import Question

app = typer.Typer(no_args_is_help=True)

_MOST_NAMED = 10

Map = Annotated[list[str] | None, typer.Option("--map", help=MAP_HELP)]
SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave bad rows out, count them and name the first 20.")
]


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Question file: JSON, JSONL, CSV or Parquet, told by its content.")],
    benchmark: Annotated[
        list[Path] | None, typer.Option(help="Report overlap with these benchmark files (repeat for several).")
    ] = None,
    mapping: Map = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at the first rows only.")] = None,
    ngram: Annotated[int, typer.Option(min=2, max=50, help="Words of an n-gram in overlap tests.")] = 13,
    containment: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of common n-grams from which questions overlap.")
    ] = 0.5,
) -> None:
    """Print counts, kinds of answers, lengths, problems, duplicates and overlap. Exit code 2 when a row is bad."""
    settings = OverlapSettings(n=ngram, threshold=containment)
    index = _benchmark_index(benchmark or [], settings)
    report = check_file(file, mapping=column_mapping(mapping), benchmark=index, settings=settings, limit=limit)
    _print_report(Console(highlight=False), report, index is not None)
    if report.bad_rows:
        lines = [f"{file}: {report.bad_rows} bad {'row' if report.bad_rows == 1 else 'rows'}"]
        lines += [f"  {error}" for error in report.errors]
        if report.bad_rows > len(report.errors):
            lines.append(f"  … and {report.bad_rows - len(report.errors)} more")
        raise QuestionFileError("\n".join(lines))
    if not report.questions:
        raise QuestionFileError(f"{file}: the file holds no question")


@app.command()
def sample(
    files: Annotated[list[Path], typer.Argument(help="Question files to draw from.")],
    out: Annotated[Path, typer.Option(help="Where the sample goes, as JSONL.")],
    count: Annotated[int | None, typer.Option(min=1, help="Questions in all.")] = None,
    per_source: Annotated[int | None, typer.Option(min=1, help="At most so many of one source.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same sample.")] = 0,
    pass_rates: Annotated[
        Path | None, typer.Option(help='JSONL with {"id", "pass_rate"} of the base policy on k samples.')
    ] = None,
    bands: Annotated[
        str, typer.Option(help="Edges of the difficulty bands, 1 − pass rate, from 0 to 1.")
    ] = "0,0.25,0.5,0.75,1",
    shares: Annotated[
        str | None, typer.Option(help="Share of each band, easiest first, e.g. 1,2,2,1; equal when left out.")
    ] = None,
    keep_solved: Annotated[bool, typer.Option(help="Keep questions that were solved in every sample.")] = False,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Drop questions that overlap these benchmark files.")
    ] = None,
    mapping: Map = None,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Draw a curriculum sample: quotas for each source, spread over bands of difficulty."""
    settings = CurriculumSettings(
        count=count,
        per_source=per_source,
        bands=_numbers(bands, "--bands"),
        shares=_numbers(shares, "--shares") if shares else None,
        drop_solved=not keep_solved,
        seed=seed,
    )
    console = Console(highlight=False)
    questions: list[Question] = []
    for file in files:
        loaded = load_questions(file, mapping=column_mapping(mapping), skip_bad_rows=skip_bad_rows)
        questions += loaded.questions
        if loaded.bad_rows:
            console.print(f"{file}: {loaded.bad_rows} bad rows left out", markup=False)
            for error in loaded.errors:
                console.print(f"  {error}", markup=False)
    rates = load_pass_rates(pass_rates) if pass_rates else {}
    questions = _distinct_ids(questions)
    index = _benchmark_index(exclude or [], OverlapSettings())
    if index is not None:
        report = find_overlap(questions, index)
        questions = [question for question in questions if question.id not in report.ids]
        console.print(f"overlapping a benchmark, dropped: {len(report.ids)}")
    drawn = sample_curriculum(questions, rates, settings)
    if not drawn.questions:
        raise UserError("no question is left to draw; nothing was written")
    write_questions(out, drawn.questions)
    _print_sample(console, drawn, out)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Name of a Hugging Face data set, or its folder in a local mirror.")],
    split: Annotated[str, typer.Option(help="Split, e.g. train or test.")],
    out: Annotated[Path, typer.Option(help="Where the questions go, as JSONL.")],
    subset: Annotated[str | None, typer.Option(help="Configuration of the data set.")] = None,
    mapping: Map = None,
    skip_bad_rows: SkipBadRows = False,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", envvar="MEDS3_ALLOW_HUB", help="Nothing is fetched without it.")
    ] = False,
) -> None:
    """Write the questions of a Hugging Face data set to a file, where the network is allowed."""
    questions: list[Question] = []
    errors: list[RowError] = []
    for row in iterate_hub(
        name, split=split, subset=subset, mapping=column_mapping(mapping), allowed=allow_network or Path(name).is_dir()
    ):
        if isinstance(row, RowError):
            errors.append(row)
        else:
            questions.append(row)
    if errors and not skip_bad_rows:
        raise QuestionFileError(refusal(Path(name), errors[:NAMED_ERRORS], len(errors)))
    if not questions:
        raise QuestionFileError(f"data set {name}: split {split} holds no question that can be read")
    write_questions(out, questions)
    rows = "1 bad row" if len(errors) == 1 else f"{len(errors)} bad rows"
    left_out = f", {rows} left out" if errors else ""
    Console(highlight=False).print(f"{len(questions)} questions written to {out}{left_out}", markup=False)


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{option}: expected numbers separated by commas") from None


def _benchmark_index(files: list[Path], settings: OverlapSettings) -> QuestionIndex | None:
    if not files:
        return None
    index = QuestionIndex(settings)
    for file in files:
        for question in load_questions(file, skip_bad_rows=True).questions:
            index.add(question)
    return index


def _distinct_ids(questions: list[Question]) -> list[Question]:
    """Several files may use the same ids: every id that is met twice gets its source in front."""
    met: set[str] = set()
    twice = {question.id for question in questions if question.id in met or met.add(question.id)}  # type: ignore[func-returns-value]
    result: list[Question] = []
    taken: set[str] = set()
    for question in questions:
        name = f"{question.source}/{question.id}"[:500] if question.id in twice else question.id
        if name in taken:
            name = f"{name}#{len(taken)}"
        taken.add(name)
        result.append(question if name == question.id else question.model_copy(update={"id": name}))
    return result


def _print_report(console: Console, report: FileReport, compared: bool) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("format", report.format)
    facts.add_row("questions", f"{report.questions:,}")
    facts.add_row("bad rows", f"{report.bad_rows:,}")
    for title, counts in (
        ("answers", report.kinds),
        ("options", report.option_counts),
        ("gold letters", report.gold_letters),
        ("sources", report.sources),
        ("context", report.contexts),
    ):
        if counts:
            shown = [f"{name}: {count:,}" for name, count in list(counts.items())[:_MOST_NAMED]]
            more = [f"… {len(counts) - _MOST_NAMED} more"] if len(counts) > _MOST_NAMED else []
            facts.add_row(title, ", ".join(shown + more))
    for title, spread in (("characters", report.characters), ("words", report.words)):
        if spread:
            facts.add_row(title, "  ".join(f"{name} {value:,}" for name, value in spread.items()))
    facts.add_row("duplicates", _counted(report.duplicates.by_kind) + report.duplicates_note)
    if compared and report.benchmark_overlap is not None:
        facts.add_row("benchmark overlap", _counted(report.benchmark_overlap.by_kind))
    console.print(facts)
    for title, found in (("duplicate", report.duplicates), ("overlap", report.benchmark_overlap)):
        for overlap in found.overlaps[:_MOST_NAMED] if found else ():
            where = f"{overlap.other_source} {overlap.other}" if title == "overlap" else overlap.other
            console.print(f"  {title}: {overlap.id} ~ {where} ({overlap.kind})", markup=False)
    for problem, count in report.problems.items():
        console.print(f"note: {problem}: {count:,}", markup=False)


def _counted(counts: dict[str, int]) -> str:
    return "none" if not any(counts.values()) else ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _print_sample(console: Console, drawn: CurriculumSample, out: Path) -> None:
    table = Table("source and difficulty", "questions", box=None)
    for name, number in drawn.chosen.items():
        table.add_row(name, str(number))
    console.print(table)
    console.print(f"solved, dropped: {drawn.solved_dropped}; without a pass rate: {drawn.unmeasured}")
    for shortfall in drawn.shortfalls:
        console.print(
            f"shortfall: {shortfall.source} {shortfall.band}: wanted {shortfall.wanted}, found {shortfall.found}",
            markup=False,
        )
    console.print(f"{len(drawn.questions)} questions written to {out}", markup=False)
