"""`meds3 annotate simulate` against a real server: simulated people judge with the error rate that they are given."""

import json
import sys
from random import Random

import pytest
from django.core.cache import cache

from meds3core.cli.main import main
from meds3core.judgements.copying import item_copy
from meds3core.judgements.items import ItemShown, StepAnswer
from meds3core.sandbox.annotator import SimulatedAnnotator
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.writing import write
from meds3core.types.judgements import Verdict
from tests.web.people import World, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.annotation import selectors
from webapp.annotation.agreement import agreement_of
from webapp.annotation.filling import NewItem, items_add
from webapp.annotation.queues import QueueSettings, queue_create

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS, CONTROLS, ERROR_RATE = 60, 6, 0.2


@pytest.fixture
def queue(live_server, tmp_path, monkeypatch):
    """Steps of the clinic, wrong ones among them, a few as control items; for two people each."""
    cache.clear()
    world = World().built()
    queue = queue_create(
        actor=SYSTEM, team=world.team, settings=QueueSettings(name="Steps", wanted=2, control_share=0.2)
    )
    queue.world, rng, copies, truth = world, Random(3), [], []
    for question in generate("train", 40, seed=5):
        written = write(case_of(question), rng, slip_rate=0.05, rate_scale=2.0)
        for place in range(1, len(written.bodies)):
            copies.append(item_copy(question, written.bodies[:place], [written.bodies[place]]))
            truth.append(Verdict.BAD if place in written.planted else Verdict.GOOD)
    items = [
        NewItem(copy, known=[StepAnswer(verdict=right)] if number < CONTROLS else None)
        for number, (copy, right) in enumerate(zip(copies[:ITEMS], truth, strict=False))
    ]
    rows = items_add(actor=SYSTEM, queue=queue, items=items, source_kind="sent")[1]
    queue.truth = {row.pk: right for row, right in zip(rows, truth, strict=False)}
    assert set(queue.truth.values()) == {Verdict.GOOD, Verdict.BAD}
    monkeypatch.setenv("MEDS3_SERVER", live_server.url)
    return queue


@pytest.fixture
def judge(queue, monkeypatch, capsys):
    """Lets somebody of this role judge, simulated; gives what the command printed."""

    def run(role, *words):
        monkeypatch.setenv("MEDS3_TOKEN", token(queue.world.by_role[role], queue.world.team, role))
        monkeypatch.setattr(sys, "argv", ["meds3", "annotate", "simulate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
        return json.loads(told.out)

    return run


def said_by(queue, role):
    rater = f"user:{queue.world.by_role[role].pk}"
    rows = selectors.judgements_of(queue=queue, which="blind").filter(rater=rater)
    return {row.item_id: Verdict(row.verdict) for row in rows}


def test_two_simulated_people_judge_a_queue_with_the_errors_they_were_given(queue, judge):
    began = judge(Role.ANNOTATOR, "Steps", "--error-rate", "0", "--limit", "10")
    assert (began["items"], began["reason"]) == (10, "")
    rest = judge(Role.ANNOTATOR, str(queue.pk), "--error-rate", "0")
    assert (rest["items"], rest["reason"]) == (ITEMS - 10, "done")
    assert began["controls"] + rest["controls"] == CONTROLS == began["controls_right"] + rest["controls_right"]
    assert said_by(queue, Role.ANNOTATOR) == queue.truth, "without errors it says what is so"

    judge(Role.MANAGER, "Steps", "--error-rate", str(ERROR_RATE), "--seed", "7")
    said = said_by(queue, Role.MANAGER)
    wrong = {pk for pk, verdict in said.items() if verdict is not queue.truth[pk]}
    assert len(said) == ITEMS
    assert 0 < len(wrong) < 2.5 * ERROR_RATE * ITEMS
    pair = agreement_of(queue=queue, resamples=50).figures.pairs[0]
    plain = {row.pk for row in selectors.items_of(queue=queue) if not row.is_control}  # agreement reads no others
    assert pair.same.value == pytest.approx(1 - len(wrong & plain) / len(plain))
    bad, called = (sum(found[pk] is Verdict.BAD for pk in plain) / len(plain) for found in (queue.truth, said))
    by_chance = bad * called + (1 - bad) * (1 - called)
    assert pair.kappa.value == pytest.approx((pair.same.value - by_chance) / (1 - by_chance)), "Cohen's, by hand"
    again = SimulatedAnnotator(error_rate=ERROR_RATE, seed=7)
    shown = {row.pk: ItemShown.model_validate(row.shown) for row in selectors.items_of(queue=queue)}
    assert {pk for pk, item in shown.items() if again.answers(item)[0].verdict is not queue.truth[pk]} == wrong


def test_a_trajectory_is_left_at_its_first_bad_step():
    rng = Random(4)
    for question in generate("train", 30, seed=6):
        written = write(case_of(question), rng, slip_rate=0.1, rate_scale=2.0)
        copy = item_copy(question, written.bodies[:1], written.bodies[1:], mode="trajectory")
        answers = SimulatedAnnotator().answers(copy.shown)
        first = min(written.planted, default=None)
        assert [each.position for each in answers] == list(range(len(answers)))
        assert len(answers) == (first or len(written.bodies) - 1)
        assert (answers[-1].verdict is Verdict.BAD) == (first is not None)
