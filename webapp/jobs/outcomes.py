"""What a job made, for its page: "open the dataset, the search, the model, the evaluation".

An app that keeps what jobs make adds one line: a selector `(job) -> list[Outcome]`, by dotted name since these apps
import jobs. It gives nothing for jobs that made none of its things; a link whose page is not built is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.urls import NoReverseMatch, reverse

from webapp.jobs.models import Job


@dataclass(frozen=True)
class Outcome:
    """Something that a job made, and where it is."""

    label: str
    what: str
    icon: str
    url: str


OUTCOMES: tuple[str, ...] = (
    "webapp.jobs.outcomes.evolutions_of",
    "webapp.jobs.outcomes.searches_of",
    "webapp.jobs.outcomes.datasets_of",
    "webapp.jobs.outcomes.models_of",
    "webapp.jobs.outcomes.label_sets_of",
    "webapp.jobs.outcomes.evaluations_of",
    "webapp.datasets.outcomes.exports_of_job",
    "webapp.datasets.outcomes.checks_of_job",
)
"""Selectors by dotted name. Those of this module ask the tables that have a `job`; an app may put its own here."""


def outcomes_of(*, job: Job) -> list[Outcome]:
    """Everything that the job made, in the order of the table."""
    found: list[Outcome] = []
    for name in OUTCOMES:
        module, _, function = name.rpartition(".")
        selector: Callable[..., list[Outcome]] = getattr(import_module(module), function)
        found += selector(job=job)
    return found


def outcome(*, label: str, what: Any, icon: str, url_name: str, arguments: list[Any]) -> list[Outcome]:
    """One outcome as a list; empty as long as the page does not exist."""
    try:
        return [Outcome(label, str(what), icon, reverse(url_name, args=arguments))]
    except NoReverseMatch:
        return []


def evolutions_of(*, job: Job) -> list[Outcome]:
    """A loop is its own page."""
    if job.kind != "evolution":
        return []
    arguments = [job.team.slug, job.pk]
    return outcome(label="Evolution", what=job, icon="refresh", url_name="evolution", arguments=arguments)


def searches_of(*, job: Job) -> list[Outcome]:
    """A search is its own page."""
    if job.kind != "search":
        return []
    arguments = [job.team.slug, job.parent_id or job.pk]
    return outcome(label="Search", what=job, icon="binary-tree-2", url_name="search", arguments=arguments)


def datasets_of(*, job: Job) -> list[Outcome]:
    """Versions of datasets."""
    from webapp.datasets.models import DatasetVersion

    return _rows(DatasetVersion, job, "Dataset", "database", "dataset-version")


def models_of(*, job: Job) -> list[Outcome]:
    """Models of the registry."""
    from webapp.registry.models import ModelVersion

    return _rows(ModelVersion, job, "Model", "box", "model")


def label_sets_of(*, job: Job) -> list[Outcome]:
    """Label sets."""
    from webapp.registry.models import LabelSet

    return _rows(LabelSet, job, "Label set", "check", "label-set")


def evaluations_of(*, job: Job) -> list[Outcome]:
    """Evaluations."""
    from webapp.evaluations.models import Evaluation

    return _rows(Evaluation, job, "Evaluation", "chart-bar", "evaluation")


MOST = 20


def _rows(model: type[Model], job: Job, label: str, icon: str, url_name: str) -> list[Outcome]:
    rows = model._default_manager.filter(job=job, team=job.team_id, ready=True).order_by("pk")[:MOST]
    slug, found = job.team.slug, []
    for row in rows:
        found += outcome(label=label, what=row, icon=icon, url_name=url_name, arguments=[slug, _key(row)])
    return found


def _key(row: Model) -> UUID:
    key: UUID = row.pk
    return key
