"""What pages of searches show beside the rows themselves: names of inputs, choices of forms, pages by position."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.spec_forms import option
from webapp.common.spec_inputs import Options
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import versions_to_choose
from webapp.jobs.models import Job, State
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
NARROW = {"source": "source", "domain": "domain", "stop": "stop_reason"}
"""Other filters: word of the query string, column."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a search was made from, for people."""

    questions: DatasetVersion | None
    policy: ModelVersion | None
    scorer: ModelVersion | None


def inputs_of(*, jobs: Iterable[Job]) -> dict[UUID, Inputs]:
    """Dataset, policy and reward model of each search; none where it was deleted."""
    jobs = list(jobs)

    def named(name: str) -> dict[UUID, UUID]:
        given = {job.pk: (job.spec.get(name) or {}).get("id") for job in jobs}
        return {job: UUID(thing) for job, thing in given.items() if thing}

    questions, policy, scorer = named("questions"), named("policy"), named("scorer")
    wanted = {*policy.values(), *scorer.values()}
    rows = DatasetVersion.objects.filter(pk__in=set(questions.values())).select_related("dataset", "team")
    versions = {row.pk: row for row in rows} if questions else {}
    models = {row.pk: row for row in ModelVersion.objects.filter(pk__in=wanted).select_related("team")}
    return {
        pk: Inputs(versions.get(questions.get(pk)), models.get(policy.get(pk)), models.get(scorer.get(pk)))
        for pk in (job.pk for job in jobs)
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


def search_choices(*, team: Team) -> list[tuple[UUID, str]]:
    """The same with their plain ids, for pages that compare."""
    return [(UUID(value.rpartition(":")[2]), label) for value, label in search_options(team=team)]


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


def trees_narrowed(*, rows: QuerySet[Tree], query: Mapping[str, str]) -> tuple[QuerySet[Tree], bool]:
    """The trees that a query string asks for by `source`, `domain`, `stop`, `outcome`; and whether it narrows at all.

    Raises `Http404` for an outcome that is none.
    """
    wanted = {column: query[name] for name, column in NARROW.items() if query.get(name)}
    outcome = query.get("outcome", "")
    if outcome and outcome not in OUTCOMES:
        raise Http404("no such outcome")
    rows = rows.filter(**wanted)
    return rows.filter(OUTCOMES[outcome][1]) if outcome else rows, bool(wanted or outcome)


def narrowing_of(*, stage: str, query: Mapping[str, str]) -> str:
    """What a query string asks for, in one form."""
    return json.dumps([stage, *(query.get(name, "") for name in (*NARROW, "outcome"))])


def trees_page(*, rows: QuerySet[Tree], total: int, query: Mapping[str, str], size: int = TREES_PAGE) -> TreePage:
    """Some of these trees: those `after` a position. `total` is how many there are. Raises `Http404`."""
    kept = {name: value for name, value in query.items() if name != "after" and value}
    after = query.get("after", "")
    shown = rows.filter(position__gt=place_of(after)) if after else rows
    found = list(shown.order_by("position")[: size + 1])
    more = len(found) > size
    found = found[:size]
    return TreePage(
        found,
        total,
        urlencode(kept | {"after": found[-1].position}) if more else "",
        urlencode(kept) or "all" if after else "",
    )


def place_of(text: str) -> int:
    """A place in a list that a query names. Raises `Http404` for what is none."""
    if not text.isdecimal() or len(text) > 9:
        raise Http404("no such place")
    return int(text)


def is_over(job: Job) -> bool:
    """Whether nothing more will happen to it by itself."""
    return job.state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)
