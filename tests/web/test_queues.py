"""Queues of steps to be judged: what fills them, who is given what, and what becomes of it."""

import random
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.utils import timezone

from meds3core.config.evaluation import EvaluationConfig
from meds3core.evaluation.judging import ClinicJudge
from meds3core.evaluation.run import evaluate
from meds3core.judgements.flagging import FlagRules, Rule
from meds3core.judgements.items import ItemMode, StepAnswer
from meds3core.types.judgements import ErrorKind, Verdict
from tests.core.evaluation.builders import clinic_rows, greedy_of, informed_scores, sample_set, score_set
from tests.evaluations import shelved
from tests.trees import finished_search
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.annotation import candidates, filling, places, queues, review, selectors, services, work
from webapp.annotation.filling import Source, filling_preview, flags_send, queue_fill
from webapp.annotation.models import Assignment, Judgement, QueueItem
from webapp.annotation.progress import my_progress, people_progress, queues_progress
from webapp.annotation.queues import QueueSettings
from webapp.datasets.services import dataset_from_questions
from webapp.trees.deletion import search_delete
from webapp.trees.models import Tree

pytestmark = pytest.mark.django_db

GOOD, BAD = StepAnswer(verdict=Verdict.GOOD), StepAnswer(verdict=Verdict.BAD, errors=(ErrorKind.ARITHMETIC,))


@pytest.fixture
def actors(world):
    return {role: Actor(user) for role, user in world.by_role.items()}


@pytest.fixture
def owner(actors):
    return actors[Role.OWNER]


@pytest.fixture
def search(world, owner):
    return finished_search(owner, world.team)


def make_queue(owner, world, search, *, items=12, rules=None, **settings):
    queue = queues.queue_create(
        actor=owner, team=world.team, settings=QueueSettings(**{"name": "Doses", "control_share": 0.0} | settings)
    )
    rules = rules or FlagRules(most_per_question=10)
    queue_fill(actor=owner, queue=queue, source=Source("search", search.pk), rules=rules, items=items)
    return queue


def say(actor, assignment, answer=GOOD, client_id=None, seconds=None):
    return work.judgement_save(
        actor=actor, item=assignment.item, client_id=client_id or uuid4(), answers=[answer], seconds=seconds
    )


def test_a_search_fills_a_queue_as_the_preview_says(world, owner, search):
    rules = FlagRules(most_per_question=10)
    source = Source("search", search.pk)
    seen = filling_preview(team=world.team, source=source, rules=rules, items=100)
    assert (seen.steps, seen.total, seen.model) == (12, 12, "")
    queue = make_queue(owner, world, search, items=100, rules=rules)
    rows = list(selectors.items_of(queue=queue))
    assert {rule: n for rule, n in seen.chosen.items() if n} == {
        rule: n for rule, n in selectors.fillings_of(queue=queue)[0].counts.items()
    }
    assert len(rows) == 12
    dropped = next(row for row in rows if row.shown["steps"] == ["A worse thought."])
    assert dropped.shown["prefix"] == ["Let us see.", "A first thought."]
    assert dropped.shown["siblings"] == ["The answer is 7."]
    assert (dropped.kept["steps"][0]["drop"], dropped.kept["steps"][0]["right"]) == (0.5, 1)
    with pytest.raises(queues.QueueError, match="no steps that this queue does not have"):
        queue_fill(actor=owner, queue=queue, source=source, rules=rules, items=5)


def test_rows_become_columns_in_blocks_and_are_the_same_steps(world, search, monkeypatch):
    rules, source = FlagRules(most_per_question=10), Source("search", search.pk)
    wanted = {"team": world.team, "rules": rules, "job_id": search.pk}
    for mode in ItemMode:
        whole = candidates.search_candidates(**wanted, mode=mode)
        with monkeypatch.context() as smaller:
            smaller.setattr(candidates, "_BLOCK", 5)
            small = candidates.search_candidates(**wanted, mode=mode)
        assert (whole.keys == small.keys).all() and (whole.pool.priority == small.pool.priority).all()
        assert all((whole.pool.found[rule] == small.pool.found[rule]).all() for rule in Rule)
    assert filling_preview(team=world.team, source=source, rules=rules, items=5).steps == 12


def test_more_flagged_steps_than_one_filling_takes_come_the_next_time(world, owner, search, monkeypatch):
    monkeypatch.setattr(filling, "MOST_ITEMS", 4)
    for tree in Tree.objects.filter(job=search):
        for idx in (0, 1, 2):  # nobody judges an opener
            services.step_flag(actor=owner, tree=tree, idx=idx)
    made = queues.queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Flagged"))
    seen = filling.flags_preview(team=world.team, queue=made)
    assert (seen.steps, seen.total) == (6, 4) and "next time" in seen.notes[0]
    assert [filling.flags_fill(actor=owner, queue=made).added for _ in range(2)] == [4, 2]
    with pytest.raises(queues.QueueError, match="every step that is flagged"):
        filling.flags_fill(actor=owner, queue=made)


def test_a_nul_in_what_is_said_is_left_out(world, owner, search):
    make_queue(owner, world, search, items=1)
    said = StepAnswer(verdict=Verdict.BAD, correction="a\0b", comment="\0")
    made = review.control_set(actor=owner, item=QueueItem.objects.get(), answers=[said])
    assert (made.known[0]["correction"], made.known[0]["comment"]) == ("ab", "")


def test_shares_and_the_most_of_a_question_decide_what_is_chosen(world, owner, search):
    rules = FlagRules(most_per_question=1, flagged=0, drop=100, disagreement=0, bad_in_right=0, reflection=0,
                      uncertain=0, random=0)  # fmt: skip
    queue = make_queue(owner, world, search, items=2, rules=rules)
    filling = selectors.fillings_of(queue=queue)[0]
    assert (filling.asked, filling.added, filling.counts) == (2, 2, {"drop": 2})
    filling = queue_fill(actor=owner, queue=queue, source=Source("search", search.pk), rules=rules, items=9)
    assert filling.added == 1, "three steps drop; the two that the queue has are not looked at again"
    assert len(set(selectors.items_of(queue=queue).values_list("step_hash", "prefix_hash"))) == 3


def test_flagged_steps_of_trees_become_items(world, owner, search):
    tree = Tree.objects.filter(job=search).earliest("position")
    flags = [services.step_flag(actor=owner, tree=tree, idx=idx, comment="Look") for idx in (2, 2, 4)]
    queue = queues.queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Flagged"))
    filling = flags_send(actor=owner, queue=queue, flags=list(selectors.flags_of(team=world.team)))
    assert flags and (filling.added, filling.counts) == (2, {"flagged": 2})
    assert all(row.priority > 0 and row.source == tree.pk for row in selectors.items_of(queue=queue))


def measured_with_scores(team):
    """An evaluation of clinic answers, right and wrong ones, with a reward model's scores of their steps."""
    rows = clinic_rows(12, 4)
    samples = sample_set(rows)
    scores = {"prm": score_set(samples, informed_scores(rows, ClinicJudge()))}
    config = EvaluationConfig(resamples=100, p_resamples=100)
    stored = evaluate(greedy_of(rows), samples, scores, config=config)
    questions = [row.question for row in stored.rows]
    version = dataset_from_questions(actor=SYSTEM, team=team, name="Held out", questions=questions)
    return shelved(team, stored, version=version)


def test_answers_of_an_evaluation_fill_a_queue_and_are_flagged(world, owner):
    evaluation = measured_with_scores(world.team)
    source = Source("evaluation", evaluation.pk)
    seen = filling_preview(team=world.team, source=source, rules=FlagRules(most_per_question=5), items=20)
    assert (seen.model, seen.total) == ("prm", 20)
    assert seen.matching[Rule.DROP] == seen.matching[Rule.DISAGREEMENT] == 0, "answers have no rollouts"
    assert seen.matching[Rule.BAD_IN_RIGHT] and seen.matching[Rule.UNCERTAIN]
    unscored = candidates.evaluation_candidates(
        evaluation=evaluation, rules=FlagRules(), mode=ItemMode.STEP, model="nobody"
    )
    assert set(unscored.pool.priority) == {0.0, 1.0}, "nothing is known but what states a wrong answer"
    made = queues.queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Answers"))
    rules = FlagRules(most_per_question=5)
    assert queue_fill(actor=owner, queue=made, source=source, rules=rules, items=20).added == 20
    row = next(row for row in selectors.items_of(queue=made) if row.rule == "bad-in-right")
    assert row.kept["origin"]["correct"] and row.kept["steps"][0]["scores"]["prm"] < rules.bad_below
    place, sample, step = map(int, row.source_place.split("/"))
    services.answer_flag(actor=owner, evaluation=evaluation, place=place, sample=sample, step=step, comment="So?")
    flagged = queues.queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Flagged"))
    assert flags_send(actor=owner, queue=flagged, flags=list(selectors.flags_of(team=world.team))).added == 1
    again = selectors.items_of(queue=flagged)[0]
    assert (again.shown["steps"], again.rule) == (row.shown["steps"], "flagged")
    for wrong in ({"place": 999}, {"sample": 99}, {"step": 0}, {"step": 99}):
        with pytest.raises(services.FlagError):
            where = {"place": place, "sample": sample, "step": step} | wrong
            services.answer_flag(actor=owner, evaluation=evaluation, **where)
    whole = queues.queue_create(
        actor=owner, team=world.team, settings=QueueSettings(name="Whole answers", mode="trajectory")
    )
    assert queue_fill(actor=owner, queue=whole, source=source, rules=rules, items=6).added == 6


def test_one_opinion_more_is_asked_for(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=1, wanted=1)
    for role in (Role.ANNOTATOR, Role.MANAGER):
        held = work.item_pull(actor=actors[role], queue=queue).assignment
        say(actors[role], held)
        review.item_ask_again(actor=owner, item=held.item)
    assert work.item_pull(actor=owner, queue=queue).assignment.item_id == held.item_id
    row = QueueItem.objects.get()
    assert (row.wanted, row.taken, row.judged, row.is_free) == (3, 3, 2, False)


def test_k_people_judge_an_item_and_nobody_twice(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=3, wanted=2)
    people = [actors[role] for role in (Role.OWNER, Role.MANAGER, Role.ANNOTATOR)]
    judged = []
    for actor in people:
        while (pulled := work.item_pull(actor=actor, queue=queue)).assignment:
            judged.append((pulled.assignment.item_id, actor.user.pk))
            say(actor, pulled.assignment)
    assert pulled.reason is work.Nothing.DONE
    assert len(judged) == len(set(judged)) == 6
    progress = queues_progress(queues=[queue.pk])[queue.pk]
    assert (progress.items, progress.completed, progress.judgements, progress.wanted) == (3, 3, 6, 6)
    assert [each.judged for each in people_progress(queue=queue)] == [3, 3]
    assert my_progress(actor=people[2], queues=[queue])[queue.pk].left == 0
    queues.queue_change(actor=owner, queue=queue, settings=QueueSettings(name="Doses", wanted=3, control_share=0))
    assert work.item_pull(actor=people[2], queue=queue).assignment is not None, "one more is wanted of each"


def test_a_pull_again_gives_what_one_holds_and_the_next_when_asked(world, actors, owner, search):
    queue = make_queue(owner, world, search)
    anna = actors[Role.ANNOTATOR]
    first = work.item_pull(actor=anna, queue=queue).assignment
    assert work.item_pull(actor=anna, queue=queue).assignment.pk == first.pk, "a reload shows the same item"
    second = work.item_pull(actor=anna, queue=queue, holding=[first.item_id]).assignment
    third = work.item_pull(actor=anna, queue=queue, holding=[first.item_id, second.item_id]).assignment
    assert len({first.item_id, second.item_id, third.item_id}) == 3
    held = [first.item_id, second.item_id, third.item_id]
    assert work.item_pull(actor=anna, queue=queue, holding=held).reason is work.Nothing.HOLDING
    work.item_release(actor=anna, item=second.item, skip=True)
    fourth = work.item_pull(actor=anna, queue=queue, holding=held).assignment
    assert fourth.item_id not in held, "what was skipped does not come again"


def test_limits_names_and_closing_stop_a_pull(world, actors, owner, search):
    queue = make_queue(owner, world, search, per_person=1, named_only=True)
    anna = actors[Role.ANNOTATOR]
    assert work.item_pull(actor=anna, queue=queue).reason is work.Nothing.NOT_NAMED
    with pytest.raises(queues.QueueError, match="annotators of the team"):
        queues.members_set(actor=owner, queue=queue, users=[world.by_role[Role.VIEWER].pk])
    queues.members_set(actor=owner, queue=queue, users=[anna.user.pk])
    held = work.item_pull(actor=anna, queue=queue).assignment
    queue = queues.queue_close(actor=owner, queue=queue)
    assert work.item_pull(actor=anna, queue=queue).reason is work.Nothing.CLOSED
    assert not say(anna, held).late, "what somebody has at hand can still be saved"
    queue = queues.queue_reopen(actor=owner, queue=queue)
    assert work.item_pull(actor=anna, queue=queue).reason is work.Nothing.LIMIT


def test_an_expired_lock_goes_to_somebody_else_and_its_late_save_is_kept(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=1, wanted=1)
    anna, max_ = actors[Role.ANNOTATOR], actors[Role.MANAGER]
    held = work.item_pull(actor=anna, queue=queue).assignment
    assert work.item_pull(actor=max_, queue=queue).reason is work.Nothing.DONE
    Assignment.objects.filter(pk=held.pk).update(expires=timezone.now() - timedelta(seconds=1))
    others = work.item_pull(actor=max_, queue=queue).assignment
    assert others.item_id == held.item_id
    assert work.lock_renew(actor=anna, item=held.item) is None, "it is somebody else's now"
    saved = say(anna, held, BAD)
    assert saved.late and Judgement.objects.get().late
    say(max_, others)
    row = QueueItem.objects.get()
    assert (row.judged, row.taken, row.is_free) == (2, 2, False), "both are kept"
    assert queues_progress(queues=[queue.pk])[queue.pk].judgements == 1, "one was wanted"


def test_a_lock_that_ran_out_unnoticed_is_renewed_by_activity(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=1, wanted=1)
    anna = actors[Role.ANNOTATOR]
    held = work.item_pull(actor=anna, queue=queue).assignment
    Assignment.objects.filter(pk=held.pk).update(expires=timezone.now() - timedelta(seconds=1))
    assert work.locks_expire(queue=queue) == 1
    assert QueueItem.objects.get().is_free
    again = work.lock_renew(actor=anna, item=held.item)
    assert again.state == "locked" and not QueueItem.objects.get().is_free
    assert not say(anna, held).late


def test_saving_twice_is_one_judgement_and_another_window_is_told(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=2)
    anna = actors[Role.ANNOTATOR]
    held, name = work.item_pull(actor=anna, queue=queue).assignment, uuid4()
    first, again = (say(anna, held, client_id=name) for _ in range(2))
    assert (first.repeated, again.repeated) == (False, True)
    assert first.judgements[0].pk == again.judgements[0].pk
    with pytest.raises(work.AlreadyJudged, match="another window"):
        say(anna, held, BAD)
    other = work.item_pull(actor=anna, queue=queue).assignment
    with pytest.raises(work.JudgingError, match="another item"):
        say(anna, other, client_id=name)
    with pytest.raises(work.NotGiven):
        say(actors[Role.MANAGER], held)
    assert Judgement.objects.count() == 1


def test_taking_back_is_blind_until_the_answer_is_seen_then_a_change_is_kept_beside(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=1)
    anna = actors[Role.ANNOTATOR]
    held = work.item_pull(actor=anna, queue=queue).assignment
    say(anna, held)
    work.judgement_undo(actor=anna, item=held.item)
    assert QueueItem.objects.get().judged == 0
    assert not selectors.judgements_of(queue=queue, which="blind").exists()
    say(anna, held, BAD)
    work.item_reveal(actor=anna, item=held.item)
    with pytest.raises(work.SeenBefore, match="both will be kept"):
        work.judgement_undo(actor=anna, item=held.item)
    changed = work.judgement_revise(actor=anna, item=held.item, client_id=uuid4(), answers=[GOOD])
    rows = list(Judgement.objects.order_by("round"))
    assert [(row.round, row.verdict, row.blind) for row in rows] == [
        (1, "good", True), (2, "bad", True), (3, "good", False)
    ]  # fmt: skip
    assert [row.verdict for row in selectors.judgements_of(queue=queue, which="blind")] == ["bad"]
    assert [row.verdict for row in selectors.judgements_of(queue=queue, which="current")] == ["good"]
    assert (changed.assignment.blind_round, QueueItem.objects.get().judged) == (2, 1)


def test_taking_back_again_takes_back_nothing_more(world, actors, owner, search):
    make_queue(owner, world, search, items=1)
    anna, row = actors[Role.ANNOTATOR], QueueItem.objects.get()
    held = work.item_pull(actor=anna, queue=row.queue).assignment
    with pytest.raises(work.NothingSaid):
        work.judgement_undo(actor=anna, item=row)
    first, second = uuid4(), uuid4()
    say(anna, held, client_id=first)
    undone = [work.judgement_undo(actor=anna, item=row, client_id=first).repeated for _ in range(3)]
    assert undone == [False, True, True]
    assert work.judgement_undo(actor=anna, item=row).repeated
    assert say(anna, held, client_id=first).repeated, "what was taken back does not stand again because it comes late"
    assert Assignment.objects.get().current_round == 0
    say(anna, held, BAD, client_id=second)
    assert work.judgement_undo(actor=anna, item=row, client_id=first).repeated
    with pytest.raises(work.NothingSaid):
        work.judgement_undo(actor=anna, item=row, client_id=uuid4())
    row.refresh_from_db()
    assert (row.judged, Assignment.objects.get().current_round) == (1, 2), "the later one stands"
    assert not work.judgement_undo(actor=anna, item=row, client_id=second).repeated
    work.item_release(actor=anna, item=row)
    assert work.judgement_undo(actor=anna, item=row, client_id=second).repeated
    assert Assignment.objects.get().state == "released"


def test_who_reads_an_item_in_review_is_not_given_it_any_more(world, actors, owner, search):
    queue = make_queue(owner, world, search, items=1)
    row = QueueItem.objects.get()
    review.item_seen(actor=owner, item=row)
    assert work.item_pull(actor=owner, queue=queue).reason is work.Nothing.DONE
    with pytest.raises(work.SeenBefore):
        say(owner, Assignment.objects.get())
    anna = actors[Role.ANNOTATOR]
    work.item_pull(actor=anna, queue=queue)
    with pytest.raises(work.JudgingError, match="to judge"):
        review.item_seen(actor=anna, item=row)


def test_control_items_come_among_the_others_and_once_to_everybody(world, actors, owner, search, monkeypatch):
    # Turns of chance follow from ids, which are new in every run; here from how many items somebody had.
    chance = SimpleNamespace(Random=lambda seed: random.Random(seed.rpartition(" ")[2]))
    monkeypatch.setattr(places, "random", chance)
    queue = make_queue(owner, world, search, items=12, wanted=1, control_share=0.5)
    for row in list(selectors.items_of(queue=queue)[:4]):
        review.control_set(actor=owner, item=row, answers=[BAD])
    given = {}
    for role in (Role.ANNOTATOR, Role.MANAGER):
        while held := work.item_pull(actor=actors[role], queue=queue).assignment:
            given.setdefault(role, []).append(held.item.is_control)
            say(actors[role], held)
    assert sum(given[Role.ANNOTATOR]) == sum(given[Role.MANAGER]) == 4
    assert given[Role.ANNOTATOR][:4] != [True] * 4, "not all of them at first"
    progress = queues_progress(queues=[queue.pk])[queue.pk]
    assert (progress.items, progress.completed, progress.controls) == (8, 8, 4)
    review.control_set(actor=owner, item=QueueItem.objects.filter(is_control=True)[0], answers=None)
    assert queues_progress(queues=[queue.pk])[queue.pk].completed == 9


def test_a_trajectory_is_judged_up_to_its_first_bad_step(world, actors, owner, search):
    make_queue(owner, world, search, mode="trajectory")
    assert QueueItem.objects.count() == 6, "every stated answer of three trees"
    long = QueueItem.objects.filter(steps=3)[0]
    answers = [StepAnswer(position=at, verdict=verdict) for at, verdict in enumerate(("good", "bad", "good"))]
    for wrong in (answers[:1], answers[1:], [answers[0], answers[2]]):
        with pytest.raises(work.JudgingError):
            work.answers_check(item=long, answers=wrong)
    work.answers_check(item=long, answers=answers[:2])
    work.answers_check(item=long, answers=answers)


def test_decisions_are_kept_one_after_the_other(world, owner, search):
    make_queue(owner, world, search, items=1)
    row, name = QueueItem.objects.get(), uuid4()
    for answers, client_id in (([GOOD], name), ([GOOD], name), ([BAD], uuid4())):
        review.item_adjudicate(actor=owner, item=row, answers=answers, client_id=client_id)
    assert [each.verdict for each in selectors.item_history(item=row)[1]] == ["good", "bad"]


def test_items_outlive_the_search_that_they_came_from(world, owner, search):
    make_queue(owner, world, search, items=5)
    search_delete(actor=owner, job=search)
    assert QueueItem.objects.filter(source_job=search.pk).count() == 5
