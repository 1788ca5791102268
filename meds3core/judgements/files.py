"""Files of judgements: four forms out, three in. Every reader gives row-numbered errors and repeats no content.

| form | out | in | a line is |
|---|---|---|---|
| `jsonl` | yes | yes | one judgement, everything that is known of it |
| `prm800k` | yes | yes | one person's walk along one solution (`judgements.prm800k`) |
| `trl` | yes | – | steps in a row with their labels, as TRL's stepwise supervision has them |
| `csv` | yes | – | one judgement, for people and spreadsheets |
| `label-studio` | – | yes | one task with its annotations (`judgements.label_studio`) |
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from meds3core.config.labels import JudgementLabelConfig
from meds3core.data.formats import detect_format
from meds3core.data.rows import FieldError, ReadLimits, RowError
from meds3core.data.streams import RawRecord, iterate_raw
from meds3core.data.tables import CsvWriter
from meds3core.errors import UserError
from meds3core.judgements.label_studio import is_label_studio, label_studio_judgements
from meds3core.judgements.labels import judged_labels
from meds3core.judgements.prm800k import is_prm800k, prm800k_judgements, prm800k_rows
from meds3core.judgements.records import judgement_of
from meds3core.labels.prefix import prefix_hash
from meds3core.text.steps import render_step, render_trajectory
from meds3core.types.judgements import StepJudgement
from meds3core.types.labels import LabelledTrajectory
from meds3core.types.question import OpenQuestion

OutForm = Literal["jsonl", "prm800k", "trl", "csv"]
InForm = Literal["jsonl", "prm800k", "label-studio"]

FORMAT = "meds3-judgement/1"
COLUMNS = (
    *("id", "annotator", "verdict", "errors", "severity", "correction", "comment", "seconds", "said_at", "blind"),
    *("adjudicated", "control", "question_id", "source", "question", "gold", "earlier", "step_number", "step"),
    *("trajectory_right", "prefix_hash", "tree", "by_chance"),
)


class JudgementFileError(UserError):
    """A file of judgements cannot be read as a whole; the message says why."""

    code = "judgement-file"


# --- out -----------------------------------------------------------------------------------------------------------


def judgement_lines(
    judgements: Iterable[StepJudgement], form: OutForm, table: CsvWriter | None = None
) -> Iterator[str]:
    """Lines of a file, with their ends. `table` writes CSV, in the form for programs or for spreadsheets."""
    match form:
        case "jsonl":
            return (_line({"format": FORMAT, **one.model_dump(mode="json")}) for one in judgements)
        case "prm800k":
            return map(_line, prm800k_rows(judgements))
        case "trl":
            return map(_line, trl_rows(judged_labels(judgements, JudgementLabelConfig()).steps()))
        case "csv":
            return (table or CsvWriter("exact")).lines(COLUMNS, map(_cells, judgements))


def trl_rows(trajectories: Iterable[LabelledTrajectory]) -> Iterator[dict[str, Any]]:
    """Each run of labelled steps: `prompt` (the question and the steps before), `completions`, `labels` (true, false).

    TRL wants a label for every completion. A step without one is therefore part of the prompt of what comes after it.
    """
    for trajectory in trajectories:
        run: list[int] = []
        for step in range(1, len(trajectory.bodies) + 1):
            if step < len(trajectory.bodies) and trajectory.labels[step] is not None:
                run.append(step)
            elif run:
                before = trajectory.question.text + "\n\n" + render_trajectory(trajectory.bodies[: run[0]])
                yield {
                    "prompt": before,
                    "completions": [render_step(each, trajectory.bodies[each]).rstrip("\n") for each in run],
                    "labels": [(trajectory.labels[each] or 0.0) >= 0.5 for each in run],
                }
                run = []


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _cells(one: StepJudgement) -> tuple[object, ...]:
    return (
        one.id,
        one.annotator,
        one.verdict.value,
        "; ".join(kind.value for kind in one.errors),
        one.severity.value if one.severity else "",
        one.correction,
        one.comment,
        one.seconds,
        one.said_at.isoformat() if one.said_at else "",
        _flag(one.blind),
        _flag(one.adjudicated),
        one.control.value if one.control else "",
        one.question.id,
        one.question.source,
        one.question.text,
        one.gold,
        render_trajectory(one.bodies[:-1]),
        one.step,
        one.bodies[-1],
        _flag(one.correct),
        prefix_hash(one.question, one.bodies),
        one.origin.tree,
        _flag(one.by_chance),
    )


def _flag(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


# --- in ------------------------------------------------------------------------------------------------------------


def read_judgements(
    path: Path,
    *,
    form: InForm | None = None,
    known: Mapping[str, OpenQuestion] | None = None,
    limits: ReadLimits | None = None,
    opened: Any = None,
) -> Iterator[StepJudgement | RowError]:
    """Every judgement in a file, or what is wrong with a row of it; a row with a fault gives nothing else.

    `form` None: told from each record's shape. `known`: questions by their text; of another one only the text is known,
    and its answer counts as free text. Raises `QuestionFileError` where the file as a whole cannot be read.
    """
    known = known or {}
    kind = detect_format(path)
    if kind not in ("json", "jsonl"):
        raise JudgementFileError(f"{path}: judgements come as JSON or JSONL, not as {kind}")
    for raw in iterate_raw(path, kind, limits or ReadLimits(), opened):
        if isinstance(raw, RowError):
            yield raw
            continue
        try:
            yield from list(_judgements(raw, form, known))
        except FieldError as error:
            yield RowError(row=raw.row, field=error.field, message=error.message)


def _judgements(raw: RawRecord, form: InForm | None, known: Mapping[str, OpenQuestion]) -> Iterator[StepJudgement]:
    record = raw.value
    if not isinstance(record, dict):
        raise FieldError("", "expected an object")
    found = form or _shape(record)
    if found == "prm800k" and is_prm800k(record):
        return prm800k_judgements(record, raw.row, known)
    if found == "label-studio" and is_label_studio(record):
        return label_studio_judgements(record, raw.row, known)
    if found == "jsonl" and record.get("format") == FORMAT:
        values = {name: value for name, value in record.items() if name != "format"}
        return iter([judgement_of(values, "")])
    wanted = "of the form that was asked for" if form else "judgements: neither ours, nor PRM800K's or Label Studio's"
    raise FieldError("", f"not {wanted}")


def _shape(record: Mapping[str, Any]) -> InForm | None:
    if record.get("format") == FORMAT:
        return "jsonl"
    if is_prm800k(record):
        return "prm800k"
    return "label-studio" if is_label_studio(record) else None
