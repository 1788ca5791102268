"""What a search would cost as earlier ones tell it, and the questions on which a trial measures it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet, Sum
from django.http import Http404

from meds3core.config.jobs import SearchSpec
from meds3core.config.references import Registered
from meds3core.types.question import Question
from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion, QuestionRow
from webapp.jobs.models import Job, State
from webapp.trees.models import Tree

LOOKED_AT = 10
"""The latest searches that are averaged."""
UNSURE = 1.5
"""By how much an estimate may be wrong either way, beyond what earlier searches differ by."""
UNSURE_SCALED = 3.0
"""The same where their settings were others."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The likely value and the bounds within which it should lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Earlier:
    """A search as earlier ones with the same policy and engine cost."""

    questions: int
    workers: int
    nodes: Bounds
    rollouts: Bounds
    generated_tokens: Bounds
    seconds: Bounds
    searches: int
    trees: int
    same_settings: bool
    """Else they are scaled by nodes and rollouts."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Of one tree of an earlier search, in the new one's measure."""

    trees: int
    nodes: float
    rollouts: float
    generated_tokens: float
    seconds: float


def questions_count(*, version_id: UUID) -> int:
    """How many questions a version holds; none when it is gone."""
    return DatasetVersion.objects.filter(pk=version_id).values_list("questions", flat=True).first() or 0


def questions_at(*, version_id: UUID, positions: Sequence[int]) -> list[Question]:
    """The questions at these positions, in their order."""
    rows = QuestionRow.objects.filter(version=version_id, position__in=positions).order_by("position")
    return [Question.model_validate(record) for record in rows.values_list("record", flat=True)]


def estimate_of(*, team: Team, job_id: UUID) -> Job:
    """One of the team's estimates. Raises `Http404`."""
    found = Job.objects.filter(team=team, pk=job_id, kind="estimate").first()
    if found is None:
        raise Http404("no such estimate")
    return found


def estimate_from_earlier(*, team: Team, spec: SearchSpec) -> Earlier | None:
    """What the team's finished searches with this policy and engine tell of a new one; none where there is none."""
    if not isinstance(spec.questions, Registered) or not isinstance(spec.policy, Registered):
        return None
    questions = questions_count(version_id=spec.questions.id)
    questions = min(questions, spec.limit or questions)
    wanted = spec.model_dump(mode="json")
    jobs = [job for job in _searches(team, spec.policy.id) if _engine(job.spec) == _engine(wanted)]
    alike = [job for job in jobs if job.spec.get("search") == wanted["search"]]
    costs = [cost for job in (alike or jobs)[:LOOKED_AT] if (cost := _cost(job, spec)) is not None]
    if not costs or not questions:
        return None
    unsure = UNSURE if alike else UNSURE_SCALED
    trees = sum(one.trees for one in costs)
    workers = max(1, min(spec.shards, questions))

    def whole(name: str, share: float = 1.0) -> Bounds:
        each = [getattr(one, name) for one in costs]
        mean = sum(getattr(one, name) * one.trees for one in costs) / trees
        times = questions * share
        return Bounds(mean * times, min(each) * times / unsure, max(each) * times * unsure)

    return Earlier(
        questions=questions,
        workers=workers,
        nodes=whole("nodes"),
        rollouts=whole("rollouts"),
        generated_tokens=whole("generated_tokens"),
        seconds=whole("seconds", 1.0 / workers),
        searches=len(costs),
        trees=trees,
        same_settings=bool(alike),
    )


def _searches(team: Team, policy_id: UUID) -> QuerySet[Job]:
    """The team's finished searches with this policy, newest first."""
    rows = Job.objects.filter(team=team, kind="search", parent=None, state=State.SUCCEEDED)
    return rows.filter(inputs__kind="model", inputs__thing=policy_id).order_by("-pk")[: 5 * LOOKED_AT]


def _engine(spec: dict[str, Any]) -> Any:
    """What told the speeds of two searches apart: the kind of engine, or which remote one."""
    engine = spec.get("engine") or {}
    return engine.get("id") or engine.get("kind")


def _cost(job: Job, spec: SearchSpec) -> _Cost | None:
    sums = Tree.objects.filter(job=job).aggregate(
        trees=Count("pk"), nodes=Sum("nodes"), rollouts=Sum("rollouts"), tokens=Sum("generated_tokens")
    )
    worked = job.worked + (job.shards.aggregate(worked=Sum("worked"))["worked"] or 0.0)
    trees = sums["trees"]
    if not trees or not worked:
        return None
    before = job.spec.get("search") or {}
    larger = spec.search.max_nodes / (before.get("max_nodes") or spec.search.max_nodes)
    busier = larger * spec.search.rollouts / (before.get("rollouts") or spec.search.rollouts)
    return _Cost(
        trees=trees,
        nodes=larger * sums["nodes"] / trees,
        rollouts=busier * sums["rollouts"] / trees,
        generated_tokens=busier * sums["tokens"] / trees,
        seconds=busier * worked / trees,
    )
