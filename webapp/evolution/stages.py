"""The stages of a loop as pages show them: state, time, what each read and made, and the drawing of them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count
from django.urls import reverse

from webapp.common.graphs import Drawing, Node, draw
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job, JobStage, State
from webapp.jobs.selectors import stages_of
from webapp.jobs.standing import span
from webapp.registry.models import LabelSet, ModelVersion
from webapp.trees.models import Tree, TreeScore

LANES = ("Search and training", "Control", "Reward model", "Measurement")
"""Columns of the drawing."""

KINDS: Mapping[str, str] = {
    "curriculum": "Choice of questions",
    "search": "Search",
    "merge": "Trees",
    "labels": "Label set",
    "control": "Label set of the control",
    "sft": "Fine-tuning",
    "dpo": "Preference training",
    "grpo": "Reinforcement learning",
    "prm": "Process reward model",
    "orm": "Outcome reward model",
    "sample": "Answers",
    "score": "Scores of answers",
    "score-trees": "Scores of steps",
    "evaluate": "Evaluation",
    "report": "Report",
}
"""Kinds of stages as people call them."""

ICONS: Mapping[str, str] = {
    State.SUCCEEDED: "check",
    State.RUNNING: "player-play",
    State.FAILED: "alert-triangle",
    State.QUEUED: "clock",
}
GIVEN: Mapping[str, str] = {
    "questions": "the training questions",
    "held-out": "the held-out questions",
    "validation": "the validation questions",
    "base": "the model that the loop began with",
}
"""What a loop begins with, as stages name it."""
ROLES: Mapping[str, str] = {
    "questions": "Questions",
    "held-out": "Stays clear of",
    "trees": "Trees",
    "policy": "Policy",
    "prm": "Process reward model",
    "orm": "Outcome reward model",
    "start": "Begins from",
    "labels": "Learns from",
    "steps_of": "As many steps as",
    "samples": "Samples",
    "greedy": "Greedy answers",
    "validation": "Validation answers",
    "model": "Reward model",
    "evaluations": "Evaluations",
}


@dataclass(frozen=True, slots=True)
class Made:
    """Something that a stage made, with its page."""

    kind: str
    id: UUID
    label: str
    what: str
    icon: str
    url: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a loop."""

    row: JobStage
    kind: str
    url: str
    time: str
    made: tuple[Made, ...]
    """What it made: on the shelf of this loop, or of the one that it was taken over from."""
    taken_from: UUID | None
    """The loop that it was taken over from."""

    @property
    def name(self) -> str:
        """Its name in the loop."""
        return self.row.name

    @property
    def said(self) -> str:
        """What came of it in a few words."""
        return str(self.row.details.get("said", ""))

    @property
    def reads(self) -> list[tuple[str, list[str]]]:
        """What it read, by role in words; names of stages, or of what the loop began with."""
        found: Mapping[str, Any] = self.row.details.get("reads") or {}
        return [(ROLES.get(role, role.replace("-", " ").capitalize()), list(names)) for role, names in found.items()]

    @property
    def after(self) -> list[str]:
        """The stages that it waits for."""
        return list(self.row.details.get("after") or [])


def loop_stages(*, job: Job) -> list[Stage]:
    """All stages of a loop in their planned order; none before a worker has planned them."""
    rows = stages_of(job=job)
    made = _made(job, rows)
    slug = job.team.slug
    return [
        Stage(
            row=row,
            kind=KINDS.get(str(row.details.get("kind", "")), str(row.details.get("kind", ""))),
            url=reverse("evolution-stage", args=[slug, job.pk, row.name]),
            time=_time(row),
            made=tuple(made.get(row.name, ())),
            taken_from=UUID(row.details["taken_from"]) if row.details.get("taken_from") else None,
        )
        for row in rows
    ]


def holder_of(job: Job, row: JobStage) -> UUID:
    """The job to which belongs what a stage made: this one, or the one that it was taken over from."""
    return UUID(row.details["made_by"]) if row.details.get("made_by") else job.pk


def _time(row: JobStage) -> str:
    seconds = row.details.get("seconds")
    if row.state == State.SUCCEEDED and isinstance(seconds, int | float):
        return span(seconds)
    if row.state == State.RUNNING and row.details.get("total"):
        return f"{row.details.get('done', 0):,} of {row.details['total']:,}"
    if row.state == State.RUNNING and row.started:
        return f"since {row.started:%H:%M:%S}"
    expected = row.details.get("seconds_expected")
    if row.state == State.QUEUED and isinstance(expected, int | float):
        return f"about {span(expected)}"
    return ""


def _made(job: Job, rows: Sequence[JobStage]) -> dict[str, list[Made]]:
    """By stage. What belongs to another loop counts only for stages that were taken over from there."""
    holders = {row.name: holder_of(job, row) for row in rows}
    jobs, slug = {job.pk, *holders.values()}, job.team.slug
    found: dict[str, list[Made]] = {}

    def add(holder: UUID | None, stage: str, made: Made) -> None:
        if holder is not None and holders.get(stage) == holder:
            found.setdefault(stage, []).append(made)

    trees = Tree.objects.filter(job__in=jobs).order_by().values_list("job", "stage").annotate(count=Count("pk"))
    for holder, stage, count in trees:
        url = f"{reverse('search', args=[slug, holder])}?stage={stage}"
        add(holder, stage, Made("trees", holder, "Trees", f"{count:,} trees", "binary-tree-2", url))
    tables: tuple[tuple[Any, str, str, str, str], ...] = (
        (LabelSet, "labels", "Label set", "pencil-check", "label-set"),
        (ModelVersion, "model", "Model", "box", "model"),
        (Evaluation, "evaluation", "Evaluation", "chart-bar", "evaluation"),
    )
    for table, kind, label, icon, url_name in tables:
        things = table._default_manager.filter(job__in=jobs, ready=True).exclude(stage="").order_by("pk")
        for thing in things.defer("facts", "provenance", "files") if table is ModelVersion else things:
            url = reverse(url_name, args=[slug, thing.pk])
            add(thing.job_id, thing.stage, Made(kind, thing.pk, label, str(thing), icon, url))
    _add_scores(job, rows, holders, found)
    return found


def _add_scores(job: Job, rows: Sequence[JobStage], holders: Mapping[str, UUID], found: dict[str, list[Made]]) -> None:
    """Scores of steps stand at the trees that were scored."""
    for row in rows:
        if row.details.get("kind") != "score-trees" or row.state != State.SUCCEEDED:
            continue
        reads = row.details.get("reads") or {}
        trees = next(iter(reads.get("trees", [])), "")
        models = [each.id for name in reads.get("model", []) for each in found.get(name, []) if each.kind == "model"]
        holder = holders.get(trees, job.pk)
        scored = TreeScore.objects.filter(tree__job=holder, tree__stage=trees, model__in=models).count()
        if scored:
            url = f"{reverse('search', args=[job.team.slug, holder])}?stage={trees}"
            made = Made("scores", holder, "Scores of steps", f"scores of {scored:,} trees", "brain", url)
            found.setdefault(row.name, []).append(made)


# --- the drawing ---------------------------------------------------------------------------------------------------


def stages_drawing(stages: Sequence[Stage], *, current: str = "") -> Drawing:
    """Every stage below those that it waits for, the control and the measurements beside the way of the models."""
    nodes = [
        Node(
            key=stage.name,
            title=_short_name(stage.name),
            url=stage.url,
            note=_note(stage),
            tone=stage.row.state + (" graph-taken" if stage.taken_from else ""),
            icon=ICONS.get(stage.row.state, "clock"),
            hint=_hint(stage),
            lane=lane_of(stage.name, str(stage.row.details.get("kind", ""))),
            current=stage.name == current,
        )
        for stage in stages
    ]
    edges = [(parent, stage.name) for stage in stages for parent in stage.after]
    return draw(nodes, edges, lanes=LANES, box=(106.0, 42.0))


def _short_name(name: str) -> str:
    """A name as its box has room for it; what is left out is said by the column that it stands in."""
    for long, short in (("evaluation-", "eval "), ("control-samples", "samples"), ("prm-scores-", "scores ")):
        name = name.replace(long, short)
    return name


def lane_of(name: str, kind: str) -> int:
    """The column of a stage."""
    if name.startswith("control-"):
        return 1
    if kind in ("prm", "orm", "score-trees") or name.startswith("steps-"):
        return 2
    if kind in ("sample", "score", "evaluate", "report"):
        return 3
    return 0


def _note(stage: Stage) -> str:
    if stage.taken_from:
        return "taken over"
    return stage.time or State(stage.row.state).label.lower()


def _hint(stage: Stage) -> str:
    words = [f"{stage.name}, {stage.kind.lower()}: {State(stage.row.state).label.lower()}"]
    if stage.taken_from:
        words.append("taken over from another loop")
    words += [part for part in (stage.time, stage.said) if part]
    if stage.made:
        words.append("made " + ", ".join(each.what for each in stage.made))
    return "; ".join(words)
