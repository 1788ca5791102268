"""What changed from one policy of a loop to another: questions newly right and newly wrong, and the paired test."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.urls import reverse

from meds3core.evaluation.compare import Comparison, compare
from meds3core.evaluation.record import EvaluationFileError, StoredEvaluation, read_evaluation
from webapp.accounts.models import Team
from webapp.common.files import Store, folder_of
from webapp.evaluations.models import Evaluation, QuestionResult
from webapp.trees.models import Tree

KEPT_SECONDS = 24 * 3600
TREES = 5
"""Trees of a question that are linked."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A question that one policy answers rightly and the other does not."""

    number: int
    text: str
    gold: str
    first_answer: str | None
    second_answer: str | None
    domain: str
    question_url: str
    first_url: str
    second_url: str
    """Its answers in both evaluations."""
    trees: tuple[tuple[str, str], ...]
    """Label and URL of trees that the team grew of it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The second policy against the first. `comparison` is the library's, over greedy answers."""

    comparison: "Comparison"
    won: list[Changed]
    lost: list[Changed]


def policy_changes(*, team: Team, first: Evaluation, second: Evaluation) -> Changes | None:
    """Paired by question. None when the files of an evaluation are gone; raises `NotComparable` with its reasons."""
    try:
        found = _compared(first, second)
    except EvaluationFileError:
        return None
    kinds = {change.id: change for change in found.changes}
    rows = _rows(second, list(kinds))
    before = {row.question_hash: row.position for row in first.answers.only("question_hash", "position")}
    trees = _trees(team, [row.question_hash for row in rows.values()])
    lists: dict[str, list[Changed]] = {"won": [], "lost": []}
    for change in found.changes:
        row = rows.get(change.id)
        lists[change.kind].append(
            Changed(
                number=row.position + 1 if row else 0,
                text=row.question.text if row and row.question else change.id,
                gold=str((row.question.record.get("gold") or {}).get("value", "")) if row and row.question else "",
                first_answer=change.first_answer,
                second_answer=change.second_answer,
                domain=change.domain,
                question_url=_question_url(team, row),
                first_url=_answers_url(team, first, before.get(row.question_hash) if row else None),
                second_url=_answers_url(team, second, row.position if row else None),
                trees=tuple(trees.get(row.question_hash, ())) if row else (),
            )
        )
    return Changes(found, lists["won"], lists["lost"])


def _compared(first: Evaluation, second: Evaluation) -> Comparison:
    """The library's comparison of greedy answers. An evaluation never changes, so what was found is kept a while."""
    key = f"evolution-changes:{first.pk}:{second.pk}"
    kept = cache.get(key)
    if kept is not None:
        return Comparison.model_validate_json(kept)
    found = compare(_greedy_of(first), _greedy_of(second))
    cache.set(key, found.model_dump_json(), KEPT_SECONDS)
    return found


def _greedy_of(evaluation: Evaluation) -> StoredEvaluation:
    """Its greedy answers alone: strategies are compared on the evaluations' own page, and here a page waits."""
    stored = read_evaluation(folder_of(Store.EVALUATIONS, evaluation.pk))
    alone: dict[str, object] = {"samples": (), "strategies": {}}
    return StoredEvaluation(stored.evaluation, tuple(row.model_copy(update=alone) for row in stored.rows))


def _rows(evaluation: Evaluation, ids: Sequence[str]) -> dict[str, QuestionResult]:
    """Stored rows by the id of their question, for questions that are still there."""
    rows = evaluation.answers.select_related("question").filter(question__question_id__in=list(ids))
    return {row.question.question_id: row for row in rows if row.question is not None}


def _trees(team: Team, hashes: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    rows = Tree.objects.filter(team=team, question_hash__in=hashes).defer("arena").select_related("job").order_by("-id")
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows[: TREES * 100]:
        links = found.setdefault(row.question_hash, [])
        if len(links) < TREES:
            label = f"{row.job}{f', {row.stage}' if row.stage else ''}"
            links.append((label, reverse("tree", args=[team.slug, row.pk])))
    return found


def _question_url(team: Team, row: QuestionResult | None) -> str:
    if row is None or row.question is None:
        return ""
    return reverse("question", args=[team.slug, row.question.version_id, row.question.position])


def _answers_url(team: Team, evaluation: Evaluation, position: int | None) -> str:
    """The answers to a question in an evaluation, with the steps of its samples."""
    if position is None:
        return ""
    return reverse("evaluation-question", args=[team.slug, evaluation.pk, position])
