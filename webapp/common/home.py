"""Reads for the home page: what goes on in the team that the person looked at last, as far as their role reaches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch
from django.urls import NoReverseMatch, reverse

from webapp.accounts.actors import Actor
from webapp.accounts.models import Membership, Team
from webapp.accounts.rules import Action, may
from webapp.annotation.models import AnnotationQueue
from webapp.annotation.progress import MyProgress, my_progress
from webapp.annotation.selectors import queues_of
from webapp.datasets.models import DatasetVersion
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.jobs import overviews
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion

JOBS, THINGS = 10, 6
"""How many rows each part shows."""


@dataclass(frozen=True)
class ScoredModel:
    """A model, where its page is, and the best that was measured of it last."""

    model: ModelVersion
    url: str
    evaluation: Evaluation | None
    best: StrategyResult | None


@dataclass(frozen=True)
class Recent:
    """A thing and where its page is."""

    thing: Any
    url: str


@dataclass(frozen=True)
class QueueToJudge:
    """A queue and how far the person is in it."""

    queue: AnnotationQueue
    mine: MyProgress


@dataclass(frozen=True)
class Step:
    """What a new team does first, second, third."""

    title: str
    text: str
    url: str
    button: str


def home_context(membership: Membership) -> dict[str, Any]:
    """What the home page shows of this team."""
    team, role = membership.team, membership.role
    sees_jobs = may(role, Action.JOB_VIEW)
    sees_data, sees_models = may(role, Action.DATASET_VIEW), may(role, Action.MODEL_VIEW)
    models = models_latest(team=team) if sees_models else []
    datasets = datasets_recent(team=team) if sees_data else []
    jobs = jobs_now(team=team) if sees_jobs else []
    queues = queues_to_judge(membership=membership) if may(role, Action.ITEM_JUDGE) else []
    is_new = sees_jobs and not (datasets or jobs or Job.objects.filter(team=team).exists())
    return {
        "team": team,
        "sees_jobs": sees_jobs,
        "sees_datasets": sees_data,
        "sees_models": sees_models,
        "jobs": jobs,
        "judges": may(role, Action.ITEM_JUDGE),
        "queues": queues,
        "shown_states": " ".join(overviews.ACTIVE),
        "models": models,
        "datasets": datasets,
        "workers": workers_now() if sees_jobs else None,
        "steps": first_steps(team=team, role=role) if is_new else [],
    }


def queues_to_judge(*, membership: Membership) -> list[QueueToJudge]:
    """Open queues, newest first, with how far the person is in each; those with nothing for them come last."""
    rows = list(queues_of(team=membership.team).filter(state=AnnotationQueue.State.OPEN)[:THINGS])
    mine = my_progress(actor=Actor(membership.user), queues=rows)
    found = [QueueToJudge(queue, mine[queue.pk]) for queue in rows]
    return sorted(found, key=lambda each: not (each.mine.may_judge and each.mine.left))


def jobs_now(*, team: Team) -> list[Job]:
    """Jobs that have not ended, newest first."""
    return list(overviews.team_jobs(team_id=team.pk, states=overviews.ACTIVE)[:JOBS])


def models_latest(*, team: Team) -> list[ScoredModel]:
    """The team's newest models, with the best strategy of their newest evaluation."""
    models = list(ModelVersion.objects.filter(team=team, ready=True).order_by("-id")[:THINGS])
    results = Prefetch("results", StrategyResult.objects.order_by("-accuracy"))
    rows = Evaluation.objects.filter(team=team, ready=True, policy__in=models).select_related("benchmark__dataset")
    newest: dict[Any, Evaluation] = {}
    for evaluation in rows.defer("figures", "comparability").prefetch_related(results).order_by("-id")[: 10 * THINGS]:
        newest.setdefault(evaluation.policy_id, evaluation)
    found = []
    for model in models:
        evaluation = newest.get(model.pk)
        best = next(iter(evaluation.results.all()), None) if evaluation else None
        found.append(ScoredModel(model, _url("model", team, model.pk), evaluation, best))
    return found


def datasets_recent(*, team: Team) -> list[Recent]:
    """The newest versions of the team's datasets."""
    rows = DatasetVersion.objects.filter(team=team, ready=True).select_related("dataset").defer("statistics", "recipe")
    return [Recent(version, _url("dataset-version", team, version.pk)) for version in rows.order_by("-id")[:THINGS]]


def workers_now() -> Mapping[str, Mapping[str, int]]:
    """How many workers of each queue are there."""
    return overviews.workers_summary()


def first_steps(*, team: Team, role: str) -> list[Step]:
    """The way of a new team from questions to a better model; links for those who may go it."""
    acts = may(role, Action.DATASET_CHANGE)

    def to(name: str) -> str:
        return _url(name, team) if acts else ""

    return [
        Step(
            "Bring questions",
            "Upload a file of medical questions with their answers. Each becomes a row that you can read and search.",
            to("upload-create") or to("dataset-list"),
            "To the datasets",
        ),
        Step(
            "Search",
            "Let the bundled model, or one of yours, grow a tree of reasoning for each question. You watch it live.",
            to("search-create") or to("search-list"),
            "New search",
        ),
        Step(
            "Train",
            "Make a label set of the trees, and fine-tune a model and a process reward model on it.",
            to("training-list"),
            "To the training runs",
        ),
        Step(
            "Evaluate",
            "Measure the new model against the old one on held-out questions, with intervals.",
            to("evaluation-list"),
            "To the evaluations",
        ),
    ]


def _url(name: str, team: Team, *arguments: Any) -> str:
    try:
        return reverse(name, args=[team.slug, *arguments])
    except NoReverseMatch:  # the page is not built yet
        return ""
