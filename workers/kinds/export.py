"""An export: questions, trees, labels, judgements, evaluations as one file, `files/exports/<job>/<name>`, to fetch."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from meds3core.config.data_jobs import ExportSpec
from meds3core.config.references import Registered
from meds3core.data.tables import CsvWriter, question_lines
from meds3core.errors import Cancelled
from meds3core.judgements.files import OutForm
from meds3core.progress import ProgressEvent
from webapp.annotation.exports import judgements_count, queue_lines
from webapp.common.files import Store, folder_of
from webapp.datasets.exports import EXTENSIONS, file_name, name_of
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of
from webapp.evaluations.models import Evaluation, QuestionResult
from webapp.jobs import reports
from webapp.trees.models import Tree
from workers import inputs
from workers.context import JobContext

LOOK_EVERY = 200
"""Lines between two looks at whether to stop."""


def run(context: JobContext) -> Mapping[str, Any]:
    """Write the file under another name, then give it its own; the result says which, how long, and its hash."""
    spec: ExportSpec = context.spec
    what = inputs.registered(spec.what, "dataset", "trees", "labels", "evaluation", "queue")
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Writing")
    name = file_name(name_of(what), EXTENSIONS.get(spec.format, spec.format))
    draft = context.folder / f"{name}.part"
    table = CsvWriter(spec.form)
    if what.kind == "labels":
        rows = _zipped(context, inputs.labels_folder(what), draft)
    else:
        rows = _written(context, _lines(spec, what, table), _total(what), draft)
    digest, size = _synced(draft)
    folder = folder_of(Store.EXPORTS, context.job_id)
    folder.mkdir(parents=True, exist_ok=True)
    draft.replace(folder / name)
    return {"file": name, "bytes": size, "sha256": digest, "rows": rows, "neutralised": table.neutralised}


def _lines(spec: ExportSpec, what: Registered, table: CsvWriter) -> Iterator[str]:
    match what.kind:
        case "dataset":
            return question_lines(
                questions_of(version_id=what.id), "jsonl" if spec.format == "jsonl" else spec.form, table
            )
        case "trees":
            return (line + "\n" for line in inputs.tree_lines(what))
        case "queue":
            return queue_lines(queue_id=what.id, form=cast(OutForm, spec.format), table=table)
        case _:
            return _evaluation(what, table) if spec.format == "csv" else _evaluation_lines(what)


def _evaluation_lines(what: Registered) -> Iterator[str]:
    """First the evaluation as a whole, then a line per question."""
    found = Evaluation.objects.get(pk=what.id)
    whole = {"name": found.name, "questions": found.questions, "figures": found.figures}
    yield json.dumps({"evaluation": whole}, ensure_ascii=False) + "\n"
    for row in _answers(what):
        told = {"position": row.position, "question_hash": row.question_hash, "answers": row.answers}
        told["question_id"] = row.question.question_id if row.question else None
        yield json.dumps(told, ensure_ascii=False) + "\n"


def _evaluation(what: Registered, table: CsvWriter) -> Iterator[str]:
    """A row per question and strategy."""
    return table.lines(
        ("position", "question_id", "question_hash", "strategy", "answer"),
        (
            (
                row.position,
                row.question.question_id if row.question else None,
                row.question_hash,
                strategy,
                answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False),
            )
            for row in _answers(what)
            for strategy, answer in sorted(dict(row.answers).items())
        ),
    )


def _answers(what: Registered) -> Iterator[QuestionResult]:
    rows = QuestionResult.objects.filter(evaluation=what.id).select_related("question").order_by("position")
    return rows.iterator(chunk_size=500)


def _total(what: Registered) -> int | None:
    match what.kind:
        case "dataset":
            return int(DatasetVersion.objects.values_list("questions", flat=True).get(pk=what.id))
        case "trees":
            return Tree.objects.filter(job=what.id).count()
        case "queue":
            return judgements_count(queue_id=what.id)
        case _:
            return None


def _written(context: JobContext, lines: Iterable[str], total: int | None, draft: Path) -> int:
    count = 0
    with draft.open("w", encoding="utf-8", newline="") as file:
        for line in lines:
            file.write(line)
            count += 1
            if count % LOOK_EVERY == 0:
                if context.cancel.cancelled:
                    raise Cancelled("told to stop")
                context.reporter.emit(ProgressEvent(kind="rows", done=count, total=total))
        file.flush()
        os.fsync(file.fileno())
    return count


def _zipped(context: JobContext, folder: Path, draft: Path) -> int:
    """The files of a label set, as `meds3core.data.labels.read_labels` reads them when unpacked."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for done, path in enumerate(files):
            if context.cancel.cancelled:
                raise Cancelled("told to stop")
            archive.write(path, path.name)
            context.reporter.emit(ProgressEvent(kind="files", done=done + 1, total=len(files)))
    return len(files)


def _synced(draft: Path) -> tuple[str, int]:
    """Hash and size of what is on disk."""
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
        return digest.hexdigest(), file.tell()
