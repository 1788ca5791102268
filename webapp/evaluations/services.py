"""Writes of evaluations: a worker's folder becomes a stored evaluation with rows to sort and compare by."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from meds3core.evaluation.comparability import ground_of
from meds3core.evaluation.record import FIGURES, ROWS, QuestionRow, StoredEvaluation, read_evaluation
from meds3core.evaluation.steps import StepFigures
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.common.files import Store, folder_of, folder_sync, name_sync
from webapp.datasets.selectors import rows_by_content
from webapp.evaluations.index import index_write
from webapp.evaluations.models import Evaluation, QuestionResult, StrategyResult
from webapp.jobs.models import Job
from webapp.jobs.reports import attempt_hold
from webapp.jobs.transitions import ENDED
from webapp.webhooks.firing import webhooks_fire
from webapp.webhooks.models import Event

REPORT = "report.html"
GREEDY = "greedy"
SHOWN = (FIGURES, ROWS, REPORT)
"""The files of an evaluation; the report may be missing."""

_BATCH = 500


def evaluation_store(
    *,
    job_id: UUID,
    attempt: int,
    name: str,
    folder: Path,
    benchmark: UUID | None,
    policy: UUID | None,
    scorer: UUID | None = None,
    stage: str = "",
) -> Evaluation:
    """Put what `meds3core.evaluation` wrote into `folder` on the shelf, once per job and stage.

    Raises `StaleAttempt`, and `EvaluationFileError` when the folder holds no evaluation.
    """
    known = Evaluation.objects.filter(job=job_id, stage=stage, ready=True).first()
    if known is not None:
        return known
    stored = read_evaluation(folder)
    job = Job.objects.select_related("team").get(pk=job_id)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        _half_done_remove(job, stage)
        evaluation = Evaluation.objects.create(
            team=job.team,
            job=job,
            stage=stage,
            name=name,
            benchmark_id=benchmark,
            policy_id=policy,
            scorer_id=scorer,
            questions=stored.evaluation.questions,
            comparability=_comparability(stored),
            figures=_headline(stored),
        )
        StrategyResult.objects.bulk_create(_strategies(evaluation, stored))
    _rows_store(evaluation, stored)
    _files_store(evaluation, folder)
    with transaction.atomic():
        attempt_hold(job_id=job_id, attempt=attempt)
        Evaluation.objects.filter(pk=evaluation.pk).update(ready=True)
        webhooks_fire(team_id=job.team_id, event=Event.EVALUATION_READY, thing=evaluation.pk)
    evaluation.ready = True
    return evaluation


def _half_done_remove(job: Job, stage: str) -> None:
    """What an earlier attempt left, and what jobs did that have ended since. Within a transaction."""
    theirs = Q(job=job, stage=stage) | Q(job__state__in=ENDED)
    left = list(Evaluation.objects.filter(theirs, ready=False).values_list("pk", flat=True))
    Evaluation.objects.filter(pk__in=left, ready=False).delete()
    for one in left:
        folder = folder_of(Store.EVALUATIONS, one)
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))
        transaction.on_commit(partial(shutil.rmtree, _draft_of(folder), ignore_errors=True))


def _draft_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.part")


def evaluation_delete(*, actor: Actor, evaluation: Evaluation) -> None:
    """Remove an evaluation and its files. Nothing is made from one, so nothing else goes with it."""
    with transaction.atomic():
        audit_write(actor=actor, verb="evaluation.deleted", team=evaluation.team, subject=str(evaluation.pk))
        folder = folder_of(Store.EVALUATIONS, evaluation.pk)
        evaluation.delete()
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def _comparability(stored: StoredEvaluation) -> dict[str, Any]:
    basis = stored.basis()
    return {
        "prompt": basis.prompt,
        "prompt_hash": basis.prompt_hash,
        "options": sorted({shape.options for shape in basis.questions}),
        "context": sorted({str(shape.has_context) for shape in basis.questions}),
        "ground": ground_of(basis).model_dump(mode="json"),
    }


def _headline(stored: StoredEvaluation) -> dict[str, Any]:
    """What lists and cards show; everything else is in the files."""
    evaluation = stored.evaluation
    shown: dict[str, Any] = {"policy": evaluation.policy, "judge": evaluation.judge, "notes": list(evaluation.notes)}
    if evaluation.greedy is not None:
        shown["greedy"] = evaluation.greedy.micro.model_dump(mode="json")
        shown["no_answer"] = evaluation.greedy.no_answer.model_dump(mode="json")
    if evaluation.greedy_steps is not None and evaluation.greedy_steps.sound is not None:
        shown["sound"] = evaluation.greedy_steps.sound.model_dump(mode="json")
    if evaluation.selection is not None:
        shown["chosen"] = evaluation.selection.model_dump(mode="json")
    shown["step_errors"] = {
        name: {figures.scope: figures.auroc.model_dump(mode="json") for figures in scorer.steps if figures.auroc}
        for name, scorer in evaluation.scorers.items()
        if scorer.steps
    }
    judged = [
        {"scorer": name, "name": each.name, "warnings": each.warnings, **_found(each.steps[0])}
        for name, scorer in evaluation.scorers.items()
        for each in scorer.judged
        if each.steps
    ]
    if judged:
        shown["judged_steps"] = judged
    return shown


def _found(figures: StepFigures) -> dict[str, Any]:
    kept = {"f1": figures.f1, "auroc": figures.auroc}
    return {name: one.model_dump(mode="json") if one else None for name, one in kept.items()}


def _strategies(evaluation: Evaluation, stored: StoredEvaluation) -> list[StrategyResult]:
    found = []
    if stored.evaluation.greedy is not None:
        micro, silent = stored.evaluation.greedy.micro, stored.evaluation.greedy.no_answer
        found.append((GREEDY, 1, micro, 1.0 - silent.value))
    found += [
        (one.key.label.rpartition(" @")[0], one.key.n, one.accuracy, 1.0 - one.no_answer.value)
        for one in stored.evaluation.grid
    ]
    return [
        StrategyResult(
            evaluation=evaluation,
            strategy=strategy[:80],
            n=n,
            accuracy=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            answered=answered,
        )
        for strategy, n, accuracy, answered in found
    ]


def _rows_store(evaluation: Evaluation, stored: StoredEvaluation) -> None:
    """A row per question, in batches, each linked to the benchmark's question with the same content."""
    for start in range(0, len(stored.rows), _BATCH):
        rows = stored.rows[start : start + _BATCH]
        hashes = [row.question.content_hash for row in rows]
        known: dict[str, int] = {}
        if evaluation.benchmark_id is not None:
            known = rows_by_content(version_id=evaluation.benchmark_id, hashes=hashes)
        QuestionResult.objects.bulk_create(
            QuestionResult(
                evaluation=evaluation,
                question_id=known.get(row.question.content_hash),
                question_hash=row.question.content_hash,
                position=start + place,
                answers=_answers(row),
            )
            for place, row in enumerate(rows)
        )


def _answers(row: QuestionRow) -> Mapping[str, Any]:
    found: dict[str, Any] = {"strategies": {label: round(value, 6) for label, value in row.strategies.items()}}
    if row.greedy is not None:
        found[GREEDY] = {"answer": row.greedy.answer, "correct": row.greedy.correct, "sound": row.greedy.sound}
    if row.samples:
        found["samples"] = {"n": len(row.samples), "right": sum(one.correct is True for one in row.samples)}
    return found


def _files_store(evaluation: Evaluation, source: Path) -> None:
    """The files under their final folder: whole or not at all."""
    target = folder_of(Store.EVALUATIONS, evaluation.pk)
    draft = _draft_of(target)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in SHOWN:
        if (source / name).is_file():
            shutil.copyfile(source / name, draft / name)
    index_write(draft)
    folder_sync(draft)
    draft.rename(target)
    name_sync(target)
