"""Several runs beside each other: which settings differ, what came out, whose curves are overlaid."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.urls import reverse

from webapp.accounts.models import Team
from webapp.jobs.models import Job
from webapp.jobs.standing import flat, kind_label
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import Score, scores_of
from webapp.training.selectors import models_made, things_named

MOST = 40
"""Runs on one page."""
COLOURS = 8
DASHES = 4
"""Lines differ by colour first, then by their dashes."""

RESULTS: Mapping[str, str] = {
    "final_loss": "Loss of the last step",
    "steps": "Optimiser steps",
    "examples": "Examples",
    "left_out": "Left out, too long",
    "tokens": "Tokens seen",
    "seconds": "Seconds of training",
}
"""Figures of a training's result, as people read them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run and how its lines look."""

    job: Job
    number: int
    colour: int
    dash: int
    metrics: str
    models: list[ModelVersion]
    without: str
    """Query string of the same comparison without this run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure or setting of every run, in their order."""

    name: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the page shows."""

    runs: list[Run]
    differing: list[Row]
    same: int
    """Settings that all runs share."""
    results: list[Row]


def comparison_of(*, team: Team, jobs: Sequence[Job]) -> Comparison:
    """The runs beside each other."""
    made = models_made(jobs=jobs)
    runs = [
        Run(
            job=job,
            number=place + 1,
            colour=place % COLOURS + 1,
            dash=place // COLOURS % DASHES,
            metrics=reverse("job-metrics", args=[team.slug, job.pk]),
            models=made.get(job.pk, []),
            without="&".join(f"run={other.pk}" for other in jobs if other.pk != job.pk),
        )
        for place, job in enumerate(jobs)
    ]
    rows = list(_settings(jobs))
    differing = [row for row in rows if len(set(row.values)) > 1]
    return Comparison(runs, differing, len(rows) - len(differing), list(_results(team, jobs, made)))


def _settings(jobs: Sequence[Job]) -> Iterator[Row]:
    """Every setting of any of the runs; references as the names of what they refer to."""
    things = things_named(jobs=jobs)
    tables = [dict(flat(_named(job.spec, things))) for job in jobs]
    yield Row("method", [kind_label(job.kind) for job in jobs])
    names = dict.fromkeys(name for table in tables for name in table)
    for name in names:
        if name not in ("kind", "training.method", "name"):
            shown = name.removeprefix("training.").replace(".", ": ").replace("_", " ")
            yield Row(shown, [table.get(name, "not a setting of it") for table in tables])


def _named(value: Any, things: Mapping[UUID, Any]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"kind", "id"}:
            thing = things.get(UUID(value["id"]))
            return str(thing) if thing is not None else f"{value['kind']} {value['id']} (deleted)"
        return {name: _named(inner, things) for name, inner in value.items()}
    return [_named(inner, things) for inner in value] if isinstance(value, list) else value


def _results(team: Team, jobs: Sequence[Job], made: Mapping[UUID, list[ModelVersion]]) -> Iterator[Row]:
    """What came out of each; a figure that no run has is left out."""
    for key, label in RESULTS.items():
        values = [_figure((job.result or {}).get(key)) for job in jobs]
        if any(values):
            yield Row(label, [value or "–" for value in values])
    speeds = [_speed(job.result or {}) for job in jobs]
    if any(speeds):
        yield Row("Tokens per second", [speed or "–" for speed in speeds])
    scores = scores_of(team=team, models=[model for models in made.values() for model in models])
    if scores:
        each = [[scores[model.pk] for model in made.get(job.pk, []) if model.pk in scores] for job in jobs]
        yield Row("Greedy answers right, newest evaluation", ["; ".join(map(_greedy, some)) or "–" for some in each])


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else ""


def _speed(result: Mapping[str, Any]) -> str:
    tokens, seconds = result.get("tokens"), result.get("seconds")
    return f"{tokens / seconds:,.0f}" if tokens and seconds else ""


def _greedy(score: Score) -> str:
    """The accuracy with its interval, and where it was measured."""
    found = score.evaluation.figures.get("greedy")
    if not isinstance(found, dict) or "value" not in found:
        return f"not measured in {score.evaluation}"
    return f"{found['value']:.1%} [{100 * found['low']:.1f}, {100 * found['high']:.1f}] in {score.evaluation}"
