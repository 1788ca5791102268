"""Curves of jobs: what is shown is what was measured, whoever measured it again, however long it is."""

import math
import random
from types import SimpleNamespace

import pytest

from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.jobs import claims, curves, reports, services
from webapp.jobs.models import Job, MetricChunk

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(world):
    """A job that a worker has, and who may look at it."""
    job = services.job_submit(actor=SYSTEM, team=world.team, spec={"kind": "self-check"})
    claims.job_claim(queue="cpu", worker=claims.worker_register(name="cpu-1", queue="cpu"))
    owner = signed_in(world.by_role[Role.OWNER])

    def ask(**query):
        return owner.get(f"/t/ward-7/jobs/{job.pk}/metrics/", query)

    return SimpleNamespace(job=job, ask=ask, world=world)


def append(job, steps, values, *, name="loss", attempt=1):
    reports.metrics_append(job_id=job.pk, attempt=attempt, name=name, steps=list(steps), values=list(values))


def in_pieces(job, values, size, *, name="loss"):
    for start in range(0, len(values), size):
        part = values[start : start + size]
        append(job, range(start, start + len(part)), part, name=name)


def test_a_curve_is_what_was_stored(run):
    values = [1 / (1 + step) for step in range(70)]
    in_pieces(run.job, values, 7)
    append(run.job, [0, 5], [1e-3, 2e-3], name="learning rate")
    answer = run.ask().json()
    assert [each["name"] for each in answer["curves"]] == ["loss", "learning rate"]
    loss, rate = answer["curves"]
    assert (loss["steps"], loss["values"]) == (list(range(70)), values)
    assert (loss["points"], loss["exact"], loss["label"], loss["group"]) == (70, True, "Loss", "loss")
    assert (rate["steps"], rate["values"], rate["group"]) == ([0, 5], [1e-3, 2e-3], "rate")


def test_many_short_stretches_are_put_together_and_nothing_is_lost(run):
    values = [math.sin(step / 50) for step in range(600)]
    in_pieces(run.job, values, 3)
    assert MetricChunk.objects.count() < 60
    line = curves.lines_of(job_id=run.job.pk)["loss"]
    assert (line.steps, line.values) == (list(range(600)), values)
    chunks = list(MetricChunk.objects.order_by("id"))
    assert all(len(each.steps) == each.points and each.steps[-1] == each.last_step for each in chunks)
    assert [each.first_step for each in chunks] == sorted(each.first_step for each in chunks)


def test_a_long_stretch_between_short_ones_stays_in_its_place(run):
    values = [float(step) for step in range(1000)]
    for start in range(0, 40):
        append(run.job, [start], [values[start]])
    append(run.job, range(40, 900), values[40:900])  # the database was away for a while
    for start in range(900, 1000):
        append(run.job, [start], [values[start]])
    line = curves.lines_of(job_id=run.job.pk)["loss"]
    assert (line.steps, line.values) == (list(range(1000)), values)


def test_what_a_later_attempt_measures_takes_the_place_of_what_was_there(run):
    append(run.job, range(0, 100), [1.0] * 100)
    append(run.job, range(100, 150), [2.0] * 50)
    Job.objects.filter(pk=run.job.pk).update(attempt=2)
    append(run.job, range(120, 130), [3.0] * 10, attempt=2)
    line = curves.lines_of(job_id=run.job.pk)["loss"]
    assert line.steps == list(range(130))
    assert line.values == [1.0] * 100 + [2.0] * 20 + [3.0] * 10
    beyond = run.ask(**{"from": 125, "to": 149}).json()["curves"][0]
    assert (beyond["steps"], set(beyond["values"])) == (list(range(125, 130)), {3.0})
    assert run.ask(**{"from": 140}).json()["curves"] == []


def test_extremes_stay_and_a_closer_look_has_every_point(run):
    values = [1.0 + math.sin(step / 300) / 10 for step in range(20_000)]
    values[7_777], values[12_345] = 50.0, -20.0
    in_pieces(run.job, values, 1000)
    (whole,) = run.ask(points=400).json()["curves"]
    assert len(whole["steps"]) <= 402
    assert (whole["points"], whole["exact"]) == (20_000, False)
    found = dict(zip(whole["steps"], whole["values"], strict=True))
    assert (found[7_777], found[12_345], found[0], found[19_999]) == (50.0, -20.0, values[0], values[-1])
    assert all(values[step] == value for step, value in found.items())
    (part,) = run.ask(points=400, **{"from": 7_600, "to": 7_900}).json()["curves"]
    assert (part["exact"], part["steps"], part["values"]) == (True, list(range(7_600, 7_901)), values[7_600:7_901])


@pytest.mark.parametrize(("count", "most"), [(1, 2), (9, 2), (10, 3), (300, 7), (400, 60), (59, 60), (61, 60)])
def test_every_stretch_keeps_its_lowest_and_highest(count, most):
    chance = random.Random(count)
    values = [None if chance.random() < 0.2 else chance.uniform(-1e6, 1e6) for _ in range(count)]
    line = curves.Line(list(range(len(values))), values)
    thin = curves.thinned(line, most)
    assert thin.steps == sorted(set(thin.steps))
    assert all(
        values[step] is value or values[step] == value for step, value in zip(thin.steps, thin.values, strict=True)
    )
    assert len(thin.steps) <= most + 2 or len(values) <= most
    present = [value for value in values if value is not None]
    if present:
        kept = [value for value in thin.values if value is not None]
        assert (min(kept), max(kept)) == (min(present), max(present))


def test_smoothing_looks_back_over_all_points_and_not_over_the_thinned_ones(run):
    values = [float(step % 2) for step in range(5_000)]
    in_pieces(run.job, values, 1000)
    (found,) = run.ask(points=100, smooth=1).json()["curves"]
    assert found["span"] == 100
    keep, mean, weight, expected = 1 - 2 / 101, 0.0, 0.0, {}
    for step, value in enumerate(values):
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        expected[step] = mean / weight
    smooth = dict(zip(found["smooth"]["steps"], found["smooth"]["values"], strict=True))
    assert all(value == pytest.approx(expected[step]) for step, value in smooth.items())
    assert smooth[4_999] == pytest.approx(0.5, abs=0.02)
    (part,) = run.ask(points=100, smooth=1, **{"from": 4_000, "to": 4_200}).json()["curves"]
    closer = dict(zip(part["smooth"]["steps"], part["smooth"]["values"], strict=True))
    assert set(closer) == set(range(4_000, 4_201))
    assert all(closer[step] == smooth[step] for step in closer if step in smooth)


def test_what_is_no_number_is_a_gap(run):
    append(run.job, [0, 1, 2], [1.0, math.nan, math.inf])
    assert run.ask().json()["curves"][0]["values"] == [1.0, None, None]
    assert run.ask(smooth=1).json()["curves"][0]["smooth"]["values"] == [1.0, 1.0, 1.0]


def test_names_have_groups_and_words():
    assert [curves.group_of(name) for name in ("sft-1: loss", "tokens_per_second", "memory", "gradient norm")] == [
        "loss",
        "throughput",
        "memory",
        "other",
    ]
    assert curves.label_of("sft-1: token_accuracy") == "sft-1: Tokens predicted right"
    assert curves.label_of("trees_finished") == "Trees finished"


def test_only_some_names_and_no_nonsense(run):
    append(run.job, [1], [1.0])
    append(run.job, [1], [2.0], name="memory")
    assert [each["name"] for each in run.ask(name="memory").json()["curves"]] == ["memory"]
    for wrong in ({"from": "x"}, {"points": "-1"}, {"to": "9" * 19}):
        assert run.ask(**wrong).status_code == 404
    assert len(run.ask(points=1).json()["curves"][0]["steps"]) == 1


def test_the_api_gives_the_same_curves(run):
    in_pieces(run.job, [float(step % 7) for step in range(2_000)], 500)
    bearer = {"Authorization": f"Bearer {token(run.world.by_role[Role.VIEWER], run.world.team, Role.VIEWER)}"}
    client = signed_in(None, headers=bearer)
    base = f"/api/v1/teams/{run.world.team.slug}/jobs/{run.job.pk}/curves"
    (shown,) = run.ask(points=100, smooth=1, **{"from": 10, "to": 900}).json()["curves"]
    (given,) = client.get(f"{base}?points=100&smooth=true&first=10&last=900&name=loss").json()["items"]
    assert given == shown
    assert client.get(f"{base}?points=1").status_code == 422
