"""Many people at one queue at once: no item goes to more of them than it wants, nobody's judgement is lost."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import OperationalError, close_old_connections, connection
from django.db.models import F
from django.utils import timezone

from meds3core.judgements.copying import item_copy
from meds3core.judgements.items import StepAnswer
from meds3core.sandbox.questions import generate
from meds3core.types.judgements import Verdict
from tests.web.people import World
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.models import User
from webapp.annotation import review, work
from webapp.annotation.filling import NewItem, items_add
from webapp.annotation.models import Assignment, Judgement, QueueItem
from webapp.annotation.queues import QueueSettings, queue_create

pytestmark = pytest.mark.django_db(transaction=True)

PULLS, ITEMS, WANTED = 100, 20, 2
GOOD = [StepAnswer(verdict=Verdict.GOOD)]


@pytest.fixture
def queue():
    cache.clear()
    world = World().built()
    made = queue_create(
        actor=SYSTEM, team=world.team, settings=QueueSettings(name="Crowded", wanted=WANTED, control_share=0)
    )
    copies = [item_copy(question, ["So."], ["The answer is 7."]) for question in generate("train", ITEMS)]
    items_add(actor=SYSTEM, queue=made, items=[NewItem(copy) for copy in copies], source_kind="sent")
    assert QueueItem.objects.count() == ITEMS
    return made


def crowd(count):
    return [Actor(each) for each in User.objects.bulk_create(User(username=f"rater-{n}") for n in range(count))]


def together(act, given):
    """`act` of each at the same moment, each with a connection of its own; a busy database is asked again."""
    gate = Barrier(len(given))

    def one(each):
        close_old_connections()
        gate.wait()
        try:
            while True:
                try:
                    return act(each)
                except OperationalError:
                    connection.close()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(one, given))


def meanwhile(act, other):
    """`act`, and `other`, which somebody else begins right after act's first look at the assignments, and what came.

    A refusal is what came of it.
    """

    def outcome(one):
        close_old_connections()
        try:
            while True:
                try:
                    return one()
                except OperationalError:
                    connection.close()
                except work.JudgingError as refusal:
                    return refusal
        finally:
            connection.close()

    begun = []

    def looked(execute, sql, parameters, many, context):
        found = execute(sql, parameters, many, context)
        if not begun and sql.startswith("SELECT") and "annotation_assignment" in sql:
            begun.append(pool.submit(outcome, other))
            wait(begun, timeout=1.0)
        return found

    with ThreadPoolExecutor(1) as pool:
        with connection.execute_wrapper(looked):
            try:
                done = act()
            except work.JudgingError as refusal:
                done = refusal
        return done, begun[0].result()


def counts_agree():
    """The counters of every item are those of its assignments."""
    for row in QueueItem.objects.all():
        states = Counter(Assignment.objects.filter(item=row).values_list("state", flat=True))
        assert (row.judged, row.taken) == (states["judged"], states["judged"] + states["locked"])
        assert row.is_free == (row.taken < row.wanted)


def test_a_hundred_pulls_at_once_give_no_item_to_more_people_than_wanted(queue):
    people = crowd(PULLS)
    pulled = together(lambda actor: work.item_pull(actor=actor, queue=queue), people)
    given = Counter(each.assignment.item_id for each in pulled if each.assignment)
    assert sum(given.values()) == ITEMS * WANTED, "every place was taken"
    assert set(given.values()) == {WANTED}
    assert {each.reason for each in pulled if not each.assignment} == {work.Nothing.DONE}
    counts_agree()

    Assignment.objects.update(expires=timezone.now() - timedelta(seconds=1))
    late = [(actor, each.assignment.item) for actor, each in zip(people, pulled, strict=True) if each.assignment]
    idle = [(actor, None) for actor, each in zip(people, pulled, strict=True) if not each.assignment]

    def act(one):
        actor, item = one
        if item is None:
            return work.item_pull(actor=actor, queue=queue)
        return work.judgement_save(actor=actor, item=item, client_id=uuid4(), answers=GOOD)

    together(act, [*late, *idle])
    assert Judgement.objects.count() == len(late), "what was saved late is kept, all of it"
    counts_agree()
    locks = Assignment.objects.filter(state=Assignment.State.LOCKED)
    assert not locks.filter(item__taken__gt=F("item__wanted"), item__judged=0).exists()


def test_one_person_in_many_windows_holds_a_few_items_and_saves_once(queue):
    (anna,) = crowd(1)
    pulled = together(lambda _: work.item_pull(actor=anna, queue=queue, holding=[uuid4()]), range(12))
    assert len({each.assignment.item_id for each in pulled}) == 1, "a reload gives what one has"
    item, name = pulled[0].assignment.item, uuid4()
    saved = together(lambda _: work.judgement_save(actor=anna, item=item, client_id=name, answers=GOOD), range(12))
    assert Counter(each.repeated for each in saved) == {True: 11, False: 1}
    assert Judgement.objects.count() == 1
    counts_agree()


def test_what_is_being_shown_cannot_be_taken_back_at_the_same_moment(queue):
    (anna,) = crowd(1)
    item = work.item_pull(actor=anna, queue=queue).assignment.item
    work.judgement_save(actor=anna, item=item, client_id=uuid4(), answers=GOOD)
    shown, undone = meanwhile(
        lambda: work.item_reveal(actor=anna, item=item), lambda: work.judgement_undo(actor=anna, item=item)
    )
    assert shown.revealed and isinstance(undone, work.SeenBefore)
    counts_agree()


def test_whoever_is_given_an_item_does_not_read_it_in_review_at_the_same_moment(queue):
    (anna,) = crowd(1)
    first = QueueItem.objects.order_by("-priority", "id")[0]
    QueueItem.objects.exclude(pk=first.pk).delete()
    _, pulled = meanwhile(
        lambda: review.item_seen(actor=anna, item=first), lambda: work.item_pull(actor=anna, queue=queue)
    )
    assert (pulled.assignment, pulled.reason) == (None, work.Nothing.DONE)
    assert Assignment.objects.get().state == "seen"
    counts_agree()
