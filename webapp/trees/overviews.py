"""What pages of searches show beside the rows themselves: names of inputs, choices of forms, pages by position."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.spec_forms import Options, option
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import versions_to_choose
from webapp.jobs.models import Job, JobInput, State
from webapp.registry.models import Endpoint, ModelKind, ModelVersion
from webapp.trees.models import Tree

TREES_PAGE = 50
OUTCOMES: Mapping[str, tuple[str, Q]] = {
    "right": ("a right answer", Q(right_answers__gt=0)),
    "mixed": ("right and wrong answers", Q(right_answers__gt=0, wrong_answers__gt=0)),
    "wrong": ("wrong answers only", Q(right_answers=0, wrong_answers__gt=0)),
    "none": ("no answer", Q(right_answers=0, wrong_answers=0)),
}
"""What a tree may hold, to filter by: word, label, condition."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a search was made from, for people."""

    questions: DatasetVersion | None
    policy: ModelVersion | None
    scorer: ModelVersion | None


def inputs_of(*, jobs: Iterable[Job]) -> dict[UUID, Inputs]:
    """Dataset, policy and reward model of each search; none where it was deleted."""
    jobs = list(jobs)
    things = {row.thing for row in JobInput.objects.filter(job__in=jobs, kind__in=("dataset", "model"))}
    versions = {row.pk: row for row in DatasetVersion.objects.filter(pk__in=things).select_related("dataset", "team")}
    models = {row.pk: row for row in ModelVersion.objects.filter(pk__in=things).select_related("team")}

    def of(job: Job, name: str, rows: Mapping[UUID, Any]) -> Any:
        reference = job.spec.get(name) or {}
        return rows.get(UUID(reference["id"])) if "id" in reference else None

    return {
        job.pk: Inputs(of(job, "questions", versions), of(job, "policy", models), of(job, "scorer", models))
        for job in jobs
    }


def dataset_options(*, team: Team) -> Options:
    """Versions that a search may read, newest first."""
    return [option("dataset", version, label) for version, label in versions_to_choose(team=team)]


def model_options(*, team: Team, kind: ModelKind) -> Options:
    """Models of a kind that a job may load, newest first."""
    rows = ModelVersion.objects.filter(theirs(team), kind=kind, ready=True).order_by("-pk")[:500]
    return [option("model", row.pk, row) for row in rows]


def engine_options(*, team: Team) -> Options:
    """Remote engines of the team."""
    return [option("endpoint", row.pk, row.name) for row in Endpoint.objects.filter(team=team).order_by("name")[:100]]


def search_options(*, team: Team) -> Options:
    """Jobs of the team that stored trees, newest first."""
    with_trees = Tree.objects.filter(team=team).order_by().values("job")
    rows = Job.objects.filter(team=team, pk__in=with_trees).order_by("-pk")[:500]
    return [option("trees", row.pk, f"{row} ({row.created:%Y-%m-%d %H:%M})") for row in rows]


def searches_open(*, team: Team, rows: QuerySet[Job]) -> QuerySet[Job]:
    """Searches, and those other jobs among `rows` that stored trees."""
    with_trees = Tree.objects.filter(team=team).exclude(stage="").order_by().values("job")
    return rows.filter(Q(kind="search") | Q(pk__in=with_trees))


@dataclass(frozen=True, slots=True)
class TreePage:
    """Some trees in the order of their questions."""

    rows: list[Tree]
    total: int
    next: str
    """Query string of what follows; empty at the end."""
    first: str
    """Query string of the beginning; empty where this is it."""


def trees_page(*, rows: QuerySet[Tree], query: Mapping[str, str], size: int = TREES_PAGE) -> TreePage:
    """Trees that the query string asks for: `source`, `domain`, `stop`, `outcome`, and those `after` a position.

    Raises `Http404` for values that are none.
    """
    narrow = {"source": "source", "domain": "domain", "stop": "stop_reason"}
    for name, column in narrow.items():
        if query.get(name):
            rows = rows.filter(**{column: query[name]})
    outcome = query.get("outcome", "")
    if outcome:
        if outcome not in OUTCOMES:
            raise Http404("no such outcome")
        rows = rows.filter(OUTCOMES[outcome][1])
    kept = {name: value for name, value in query.items() if name != "after" and value}
    after = query.get("after", "")
    if after and (not after.isdecimal() or len(after) > 9):
        raise Http404("no such page")
    total = rows.count()
    shown = rows.filter(position__gt=int(after)) if after else rows
    found = list(shown.order_by("position")[: size + 1])
    more = len(found) > size
    found = found[:size]
    return TreePage(
        found,
        total,
        urlencode(kept | {"after": found[-1].position}) if more else "",
        urlencode(kept) or "all" if after else "",
    )


def is_over(job: Job) -> bool:
    """Whether nothing more will happen to it by itself."""
    return job.state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)
