"""Where a model came from and what came of it, as a graph: questions, trees, label sets, models, evaluations.

A thing that a job of its own made stands on what that job's specification names. A thing that a stage of a loop made
stands on what the stages before it made, as far back as the loop's own inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import NoReverseMatch, reverse

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.annotation.models import AnnotationQueue
from webapp.common.graphs import Drawing, Node, draw
from webapp.datasets.models import DatasetVersion
from webapp.evaluations.models import Evaluation
from webapp.evolution.stages import Stage, loop_stages
from webapp.jobs.models import Job, JobInput
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import Tree
from webapp.uploads.models import Upload

MOST = 60
"""Things in one direction; beyond, the graph says that there are more."""
FORWARD = 3
"""Steps from the model to what came of it."""
NO_SOURCES = frozenset({"held-out", "steps_of"})
"""What a stage reads without learning from it: questions to stay clear of, a number of steps."""
ICONS = {
    "upload": "upload",
    "dataset": "database",
    "trees": "binary-tree-2",
    "labels": "pencil-check",
    "model": "box",
    "evaluation": "chart-bar",
    "evolution": "refresh",
    "queue": "pencil-check",
}
WORDS = {
    "upload": "files that were sent",
    "dataset": "questions",
    "trees": "search trees",
    "labels": "label set",
    "model": "model",
    "evaluation": "evaluation",
    "evolution": "loop",
    "queue": "judgements of people",
}
TABLES: dict[str, Any] = {
    "model": ModelVersion,
    "labels": LabelSet,
    "dataset": DatasetVersion,
    "evaluation": Evaluation,
}
PAGES = {"model": "model", "labels": "label-set", "dataset": "dataset-version", "evaluation": "evaluation"}


@dataclass(frozen=True, slots=True)
class Thing:
    """A node of the graph."""

    kind: str
    id: UUID
    stage: str
    """Of the trees of a loop: which of its stages grew them."""
    label: str
    url: str
    content_hash: str
    job: Job | None
    """Its maker, where the team may see it."""
    made_in: str
    """The stage of the loop that made it."""

    @property
    def key(self) -> str:
        """Its name in the graph."""
        return f"{self.kind}:{self.id}:{self.stage}"

    @property
    def what(self) -> str:
        """What it is, in words."""
        return WORDS.get(self.kind, self.kind)

    @property
    def maker_url(self) -> str:
        """The page of the job, or of the stage, that made it."""
        if self.job is None:
            return ""
        if self.made_in:
            return reverse("evolution-stage", args=[self.job.team.slug, self.job.pk, self.made_in])
        return reverse("job", args=[self.job.team.slug, self.job.pk])

    @property
    def maker(self) -> str:
        """The same in words."""
        if self.job is None:
            return ""
        return f"{self.made_in} of {self.job}" if self.made_in else str(self.job)


@dataclass
class Ancestry:
    """Both directions from one model. Edges lead from a source to what was made of it."""

    focus: Thing
    sources: list[Thing] = field(default_factory=list)
    products: list[Thing] = field(default_factory=list)
    edges: set[tuple[str, str]] = field(default_factory=set)
    more: bool = False

    @property
    def drawing(self) -> Drawing:
        """All of it, the sources above."""
        nodes = [
            Node(
                key=each.key,
                title=each.label,
                url=each.url,
                note=each.made_in or each.what,
                tone="" if each.url else "gone",
                icon=ICONS.get(each.kind, "box"),
                hint=f"{each.label}, {each.what}{f', made by {each.maker}' if each.maker else ''}",
                current=each.key == self.focus.key,
            )
            for each in (*self.sources, self.focus, *self.products)
        ]
        return draw(nodes, self.edges, keep={self.focus.key}, box=(158.0, 44.0))


def ancestry_of(*, team: Team, model: ModelVersion) -> Ancestry:
    """The graph around a model, as the team may see it."""
    return _Walk(team).around(model)


class _Walk:
    """One look around; what was read once is kept."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._loops: dict[UUID, dict[str, Stage]] = {}
        self._jobs: dict[UUID, Job | None] = {}

    def around(self, model: ModelVersion) -> Ancestry:
        found = Ancestry(self._row("model", model))
        seen = {found.focus.key}
        self._follow(found, found.focus, self._sources, found.sources, seen, back=True)
        below = {found.focus.key}
        self._follow(found, found.focus, self._products, found.products, below | seen, back=False)
        return found

    def _follow(
        self, found: Ancestry, start: Thing, step: Any, into: list[Thing], seen: set[str], *, back: bool
    ) -> None:
        """Breadth first, so that what is near is there when there is too much."""
        row = [start]
        depth = 0
        while row and (back or depth < FORWARD):
            following: list[Thing] = []
            for thing in row:
                for other in step(thing):
                    found.edges.add((other.key, thing.key) if back else (thing.key, other.key))
                    if other.key in seen:
                        continue
                    if len(into) >= MOST:
                        found.more = True
                        continue
                    seen.add(other.key)
                    into.append(other)
                    following.append(other)
            row, depth = following, depth + 1

    # --- back --------------------------------------------------------------------------------------------------------

    def _sources(self, thing: Thing) -> Iterator[Thing]:
        if thing.kind == "dataset":
            parent = DatasetVersion.objects.filter(children=thing.id).select_related("dataset").first()
            if parent is not None:
                yield self._row("dataset", parent)
        if thing.job is None:
            return
        if thing.job.kind != "evolution":
            yield from self._named(thing.job)
        elif thing.made_in:
            yield from self._before(thing.job, thing.made_in, set())
        elif thing.kind == "trees":  # all of a loop's
            stages = Tree.objects.filter(job=thing.id).order_by("stage").values_list("stage", flat=True).distinct()
            yield from (self._trees(thing.job, stage) for stage in stages if stage)

    def _named(self, job: Job) -> Iterator[Thing]:
        """What a job's specification refers to."""
        for each in JobInput.objects.filter(job=job).order_by("id"):
            found = self._thing(each.kind, each.thing)
            if found is not None:
                yield found

    def _before(self, job: Job, name: str, seen: set[str]) -> Iterator[Thing]:
        """The nearest things before a stage: what other stages made, or what the loop began with."""
        stages = self._loop(job)
        stage = stages.get(name)
        if stage is None or name in seen:
            return
        seen.add(name)
        reads = stage.row.details.get("reads") or {"": stage.after}
        for role, names in reads.items():
            if role in NO_SOURCES:
                continue
            for each in names:
                if each not in stages:
                    yield from self._given(job, each)
                elif made := [one for one in stages[each].made if one.kind != "scores"]:
                    for one in made:
                        found = self._thing(one.kind, one.id, stage=each if one.kind == "trees" else "")
                        if found is not None:
                            yield found
                else:
                    yield from self._before(job, each, seen)

    def _given(self, job: Job, name: str) -> Iterator[Thing]:
        field_of = {"questions": "questions", "held-out": "held_out", "validation": "validation", "base": "policy"}
        reference = job.spec.get(field_of.get(name, "")) or {}
        if reference.get("id"):
            found = self._thing(reference["kind"], UUID(reference["id"]))
            if found is not None:
                yield found

    # --- forward -----------------------------------------------------------------------------------------------------

    def _products(self, thing: Thing) -> Iterator[Thing]:
        kind = "trees" if thing.kind == "trees" else thing.kind
        using = JobInput.objects.filter(kind=kind, thing=thing.id, job__team=self._team, job__parent=None)
        for each in using.select_related("job__team").order_by("-job_id")[:MOST]:
            yield from self._made_by(each.job)
        if thing.job is not None and thing.job.kind == "evolution" and thing.made_in:
            for name, stage in self._loop(thing.job).items():
                things = [one for one in stage.made if one.kind != "scores"]
                if name != thing.made_in and things and self._feeds(thing, name):
                    for one in things:
                        found = self._thing(one.kind, one.id, stage=name if one.kind == "trees" else "")
                        if found is not None:
                            yield found

    def _feeds(self, thing: Thing, stage: str) -> bool:
        assert thing.job is not None
        return any(other.key == thing.key for other in self._before(thing.job, stage, set()))

    def _made_by(self, job: Job) -> Iterator[Thing]:
        if job.kind == "evolution":
            url = reverse("evolution", args=[self._team.slug, job.pk])
            yield Thing("evolution", job.pk, "", str(job), url, "", job, "")
            return
        if job.kind == "search":
            yield self._trees(job, "")
        for kind, table in TABLES.items():
            ready = Q() if kind == "dataset" else Q(ready=True)
            for row in table.objects.filter(ready, job=job, team=self._team)[:5]:
                yield self._row(kind, row)

    # --- things ------------------------------------------------------------------------------------------------------

    def _thing(self, kind: str, thing: UUID, stage: str = "") -> Thing | None:
        """A thing by its id; what was deleted is left as such, what says nothing of content is left out."""
        if kind == "trees":
            job = self._job(thing)
            return self._trees(job, stage) if job else self._gone(kind, thing)
        if kind in TABLES:
            rows = TABLES[kind].objects.filter(theirs(self._team), pk=thing)
            row = (rows.select_related("dataset") if kind == "dataset" else rows).first()
            return self._row(kind, row) if row else self._gone(kind, thing)
        if kind == "queue":
            queue = AnnotationQueue.objects.filter(team=self._team, pk=thing).first()
            return self._queue(queue) if queue else self._gone(kind, thing)
        if kind == "upload":
            known = Upload.objects.filter(pk=thing).exists()
            return Thing(kind, thing, "", "An upload" if known else "An upload, deleted", "", "", None, "")
        return None

    def _row(self, kind: str, row: Any) -> Thing:
        stage = getattr(row, "stage", "")
        try:
            url = reverse(PAGES[kind], args=[self._team.slug, row.pk])
        except NoReverseMatch:
            url = ""
        digest = str(getattr(row, "content_hash", ""))
        return Thing(kind, row.pk, "", str(row), url, digest, self._job(row.job_id), stage)

    def _queue(self, queue: AnnotationQueue) -> Thing:
        try:
            url = reverse("queue", args=[self._team.slug, queue.pk])
        except NoReverseMatch:
            url = ""
        return Thing("queue", queue.pk, "", str(queue), url, "", None, "")

    def _trees(self, job: Job, stage: str) -> Thing:
        url = reverse("search", args=[self._team.slug, job.pk])
        label = f"{stage}, {job}" if stage else str(job)
        return Thing("trees", job.pk, stage, label, f"{url}?stage={stage}" if stage else url, "", job, stage)

    def _gone(self, kind: str, thing: UUID) -> Thing:
        return Thing(kind, thing, "", "Deleted since", "", "", None, "")

    def _job(self, job_id: UUID | None) -> Job | None:
        if job_id is None:
            return None
        if job_id not in self._jobs:
            self._jobs[job_id] = Job.objects.filter(pk=job_id, team=self._team).select_related("team").first()
        return self._jobs[job_id]

    def _loop(self, job: Job) -> dict[str, Stage]:
        if job.pk not in self._loops:
            self._loops[job.pk] = {stage.name: stage for stage in loop_stages(job=job)}
        return self._loops[job.pk]
