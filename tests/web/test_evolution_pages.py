"""Pages of evolutions: what they show is what the library found, stage by stage; restarts say what they take over."""

import json
import re

import pytest
from django.urls import reverse

from meds3core.config.jobs import EvolutionSpec
from meds3core.evaluation.compare import compare
from meds3core.evaluation.record import read_evaluation
from meds3core.report.wording import percent, points
from tests.evolutions import MODELS, RIGHT, library_result, plan_stages, small_loop
from tests.web.people import World, signed_in
from tests.web.test_learning_pages import fields_of
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.evolution.restarts import takeover_of
from webapp.evolution.stages import loop_stages
from webapp.jobs.models import Job, JobStage, State
from webapp.jobs.services import job_submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(world: World):
    return signed_in(world.by_role[Role.OWNER])


@pytest.fixture
def loop(world: World) -> Job:
    return small_loop(world.team)


def url(job: Job, name: str = "evolution", *more: object) -> str:
    return reverse(name, args=[job.team.slug, job.pk, *more])


def text_of(page) -> str:
    """What a person reads, without tags and with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode())).replace("&#x27;", "'")


def test_the_page_shows_the_librarys_figures(owner, loop):
    page = owner.get(url(loop))
    assert page.status_code == 200
    told, result = text_of(page), library_result(loop)
    assert result.summary in told
    for stage in result.stages:
        assert percent(stage.accuracy) in told
        if stage.after:
            assert points(stage.against_parent.mean) in told and points(stage.against_base.mean) in told
    for one in result.versus:
        assert points(one.accuracy) in told
    for one in StrategyResult.objects.filter(evaluation__job=loop, strategy="greedy"):
        mark = f"{100 * one.accuracy:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        assert mark in page.content.decode() or mark.replace("% [", "% ") in told
    chart = page.context["chart"]
    names = [series.name for series in chart.series]
    assert names[:2] == ["greedy", "control, greedy"] and len(chart.series[0].marks) == 4
    assert [tick.label for tick in chart.x_ticks] == ["base", "sft-1", "sft-2", "dpo-2"]


def test_every_stage_is_drawn_and_leads_to_what_it_made(owner, loop):
    page = owner.get(url(loop))
    drawn = {box.node.key: box.node for box in page.context["drawing"].boxes}
    assert set(drawn) == set(JobStage.objects.filter(job=loop).values_list("name", flat=True))
    stages = {stage.name: stage for stage in loop_stages(job=loop)}
    made = {name: {each.kind for each in stage.made} for name, stage in stages.items() if stage.made}
    assert made == (
        {"trees-1": {"trees"}, "trees-2": {"trees"}, "tree-scores-2": {"scores"}}
        | {"sft-set-1": {"labels"}, "sft-set-2": {"labels"}}
        | {name: {"model"} for name in MODELS}
        | {f"evaluation-{name}": {"evaluation"} for name in RIGHT}
    )
    for stage in stages.values():
        assert all(each.url in page.content.decode() for each in stage.made)
    for name in ("trees-1", "sft-set-1", "prm-2", "evaluation-base"):
        part = owner.get(stages[name].url, headers={"X-Part": "1"}).content.decode()
        assert "<html" not in part and stages[name].kind in part and stages[name].made[0].url in part
        assert owner.get(stages[name].made[0].url).status_code == 200
    rows = {box.node.key: box.y for box in page.context["drawing"].boxes}
    assert all(rows[parent] < rows[name] for name, stage in stages.items() for parent in stage.after)
    shown = text_of(owner.get(stages["sft-2"].url))
    assert "Learns from sft-set-2" in shown and "Begins from sft-1" in shown and "61 seconds" in shown
    assert "training: learning rate" in shown or "learning_rate" in shown


def test_what_changed_is_the_librarys_comparison(owner, loop):
    page = owner.get(url(loop, "evolution-changes") + "?first=base&second=sft-1")
    one, other = (
        read_evaluation(folder_of(Store.EVALUATIONS, Evaluation.objects.get(job=loop, stage=f"evaluation-{name}").pk))
        for name in ("base", "sft-1")
    )
    found, changes = compare(one, other), page.context["changes"]
    right = [[row.greedy.correct is True for row in side.rows] for side in (one, other)]
    for listed, pair in ((changes.won, (False, True)), (changes.lost, (True, False))):
        expected = [at for at, both in enumerate(zip(*right, strict=True), start=1) if both == pair]
        assert [each.number for each in listed] == expected != []
    assert [each.id for each in changes.comparison.changes] == [each.id for each in found.changes]
    assert changes.comparison.greedy == found.greedy
    told = text_of(page)
    assert points(found.greedy.difference) in told
    for each in changes.won + changes.lost:
        assert owner.get(each.question_url).status_code == 200
        assert owner.get(each.second_url.partition("#")[0]).status_code == 200
        assert each.gold and each.gold in told
    assert owner.get(url(loop, "evolution-changes") + "?first=nobody&second=base").status_code == 404
    assert "Choose two different" in text_of(owner.get(url(loop, "evolution-changes") + "?first=base&second=base"))


def test_a_restart_says_what_it_takes_over_and_starts_that(world, owner, loop):
    spec = EvolutionSpec.model_validate(loop.spec)
    plain = takeover_of(job=loop, spec=spec, stage="dpo-2")
    assert "sft-2" in plain.kept and "prm-2" in plain.anew and "evaluation-sft-2" in plain.kept
    everything = set(JobStage.objects.filter(job=loop).values_list("name", flat=True))
    assert set(plain.kept) | set(plain.anew) == everything
    changed = spec.model_copy(
        update={
            "settings": spec.settings.model_copy(update={"sft": spec.settings.sft.model_copy(update={"epochs": 7})})
        }
    )
    assert "sft-1" in takeover_of(job=loop, spec=changed, stage="dpo-2").anew
    page = owner.get(url(loop, "evolution-restart") + "?stage=dpo-2")
    assert page.context["takeover"] == plain
    sent = fields_of(page)
    looked = owner.post(url(loop, "evolution-restart"), sent | {"stage": "sft-2", "look": "1", "settings.seed": "3"})
    assert looked.status_code == 200 and Job.objects.filter(kind="evolution").count() == 1
    assert set(looked.context["takeover"].kept) == {"questions-1", "greedy-base"}
    answer = owner.post(url(loop, "evolution-restart"), sent | {"stage": "dpo-2", "settings.dpo.beta": "0.3"})
    made = Job.objects.exclude(pk=loop.pk).get(kind="evolution")
    assert answer.url == url(made)
    assert made.spec["restart"] == {"job": {"kind": "evolution", "id": str(loop.pk)}, "stage": "dpo-2"}
    assert made.spec["settings"]["dpo"]["beta"] == 0.3 and made.origin == loop
    assert made.spec["settings"]["search"] == loop.spec["settings"]["search"]
    assert "Begin again" in text_of(owner.get(url(loop))) and made.title in text_of(owner.get(url(loop)))
    assert "Not planned yet" in text_of(owner.get(url(made)))
    JobStage.objects.filter(job=loop, name="sft-2").update(state=State.QUEUED)
    assert "sft-2" in takeover_of(job=loop, spec=spec, stage="dpo-2").unfinished


def test_what_was_taken_over_is_shown_where_it_stands(world, owner, loop):
    spec = loop.spec | {"restart": {"job": {"kind": "evolution", "id": str(loop.pk)}, "stage": "dpo-2"}}
    again = job_submit(actor=SYSTEM, team=world.team, spec=spec, title="Again")
    Job.objects.filter(pk=again.pk).update(state=State.RUNNING, attempt=1)
    plan_stages(again, EvolutionSpec.model_validate(spec), done=False)
    for row in JobStage.objects.filter(job=again, name__in=["sft-2", "trees-1"]):
        details = row.details | {"taken_from": str(loop.pk), "made_by": str(loop.pk)}
        JobStage.objects.filter(pk=row.pk).update(details=details, state=State.SUCCEEDED)
    page = owner.get(url(again))
    told = text_of(page)
    assert "2 stages were taken over and not run again" in told and "anew from dpo-2" in told
    made = {stage.name: [each.what for each in stage.made] for stage in page.context["stages"] if stage.made}
    assert set(made) == {"sft-2", "trees-1"}
    assert "Taken over" in text_of(owner.get(url(again, "evolution-stage", "sft-2")))
    assert owner.get(url(again, "evolution-parts")).status_code == 200
    assert "No policy has been measured yet" in told


def test_lists_empty_and_forbidden_states(world, owner, loop):
    listed = owner.get(reverse("evolution-list", args=[world.team.slug]))
    stored = loop.result["stages"][-1]["accuracy"]
    assert f"{100 * stored['value']:.1f}% [{100 * stored['low']:.1f}, {100 * stored['high']:.1f}]" in text_of(listed)
    neighbour = signed_in(world.other_owner)
    assert "No evolution yet" in text_of(neighbour.get(reverse("evolution-list", args=[world.other_team.slug])))
    elsewhere = reverse("evolution", args=[world.other_team.slug, loop.pk])
    assert neighbour.get(elsewhere).status_code == 404
    assert signed_in(world.by_role[Role.VIEWER]).get(url(loop, "evolution-restart")).status_code == 403
    assert owner.get(url(loop, "evolution-stage", "nothing")).status_code == 404
    report = owner.get(url(loop, "evolution-report"))
    assert report["Content-Disposition"].startswith("attachment") and b"<html" in report.getvalue()
    Job.objects.filter(pk=loop.pk).update(result=json.loads(json.dumps(loop.result | {"figures": "../../x"})))
    assert owner.get(url(loop)).context["result"] is None


def test_the_page_costs_few_queries(owner, loop, django_assert_max_num_queries):
    owner.get(url(loop))
    with django_assert_max_num_queries(25):
        owner.get(url(loop))
    with django_assert_max_num_queries(15):
        owner.get(reverse("evolution-list", args=[loop.team.slug]))
