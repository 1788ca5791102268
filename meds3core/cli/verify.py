"""`meds3 verify`: judge responses that were made elsewhere."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.cli.columns import MAP_HELP, column_mapping
from meds3core.data.pass_rates import id_of, iterate_objects
from meds3core.data.read import NAMED_ERRORS, load_questions, refusal
from meds3core.data.rows import RowError
from meds3core.data.write import atomic_text
from meds3core.errors import QuestionFileError, UserError
from meds3core.types.question import Question
from meds3core.verify.judge import judge


def verify(
    questions: Annotated[Path, typer.Option(help="Question file: JSON, JSONL, CSV or Parquet.")],
    responses: Annotated[Path, typer.Option(help='JSONL with {"id", "response"} a line; an id may come repeatedly.')],
    out: Annotated[Path, typer.Option(help='JSONL with {"id", "correct": true|false|null, "answer"} a line.')],
    mapping: Annotated[list[str] | None, typer.Option("--map", help=MAP_HELP)] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave bad rows out, count them and name the first 20.")
    ] = False,
) -> None:
    """Judge responses by rule. `correct` is null where a response holds no answer, which is not the same as wrong."""
    loaded = load_questions(questions, mapping=column_mapping(mapping), skip_bad_rows=skip_bad_rows)
    known = {question.id: question for question in loaded.questions}
    counts: Counter[str] = Counter()
    answered: set[str] = set()
    errors: list[RowError] = []
    bad_rows = 0
    with atomic_text(out) as file:
        for entry in iterate_objects(responses):
            line = entry if isinstance(entry, RowError) else _judged(entry[0], entry[1], known, counts, answered)
            if isinstance(line, RowError):
                bad_rows += 1
                if len(errors) < NAMED_ERRORS:
                    errors.append(line)
            else:
                file.write(line)
        if bad_rows and not skip_bad_rows:
            raise QuestionFileError(refusal(responses, errors, bad_rows))
        if not counts:
            raise QuestionFileError(f"{responses}: the file holds no response that can be judged")
    _print_summary(counts, len(known) - len(answered), loaded.bad_rows, bad_rows, [*loaded.errors, *errors])


def _judged(
    row: int, record: dict[str, object], known: dict[str, Question], counts: Counter[str], answered: set[str]
) -> str | RowError:
    """The output line for one response; counts it."""
    name, response = id_of(record), record.get("response")
    if name is None:
        return RowError(row=row, field="id", message="expected a text or an integer")
    if name not in known:
        return RowError(row=row, field="id", message="no question has this id")
    if not isinstance(response, str):
        problem = "missing" if response is None else "expected a text"
        return RowError(row=row, field="response", message=problem)
    try:
        verdict = judge(response, known[name])
    except UserError as error:
        return RowError(row=row, field="response", message=str(error))
    counts["no answer" if verdict.correct is None else "right" if verdict.correct else "wrong"] += 1
    answered.add(name)
    return json.dumps({"id": name, "correct": verdict.correct, "answer": verdict.answer}) + "\n"


def _print_summary(
    counts: Counter[str], without: int, bad_questions: int, bad_responses: int, errors: list[RowError]
) -> None:
    console = Console(highlight=False)
    total = counts.total()
    for name in ("right", "wrong", "no answer"):
        console.print(f"{name:<12}{counts[name]:>8,}  {counts[name] / total:6.1%}")
    console.print(f"{'responses':<12}{total:>8,}")
    if without:
        console.print(f"questions without a response: {without:,}")
    for kind, number in (("questions", bad_questions), ("responses", bad_responses)):
        if number:
            console.print(f"bad rows left out of the {kind}: {number:,}")
    for error in errors[:NAMED_ERRORS]:
        console.print(f"  {error}", markup=False)
