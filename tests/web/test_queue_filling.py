"""Filling of queues from what is too large to be waited for: by a job, which goes on where it was broken off."""

import json

import pytest

from meds3core.errors import Cancelled
from meds3core.judgements.flagging import FlagRules
from tests.trees import finished_search
from tests.web.people import signed_in, token
from tests.workers.attempts import claimed, context_of, done
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.annotation import filling
from webapp.annotation.filling import Source, filling_preview, filling_submit, queue_fill
from webapp.annotation.models import AnnotationQueue, Filling, QueueItem
from webapp.annotation.queues import QueueSettings, queue_create
from webapp.jobs.models import Job
from workers.runners import runner_for

pytestmark = pytest.mark.django_db

RULES = FlagRules(most_per_question=10)


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def search(world, owner):
    """Of three trees with four steps each."""
    return finished_search(owner, world.team)


@pytest.fixture
def large(monkeypatch):
    """Two trees are more than a page waits for."""
    monkeypatch.setattr(filling, "WAITED_FOR", {"search": 2, "evaluation": 2})


def test_a_job_fills_from_a_large_search_what_a_page_would_have(world, owner, search, monkeypatch):
    queues = [queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name=name)) for name in ("A", "B")]
    source = Source("search", search.pk)
    by_page = queue_fill(actor=owner, queue=queues[0], source=source, rules=RULES, items=7, seed=3)
    job = filling_submit(actor=owner, queue=queues[1], source=source, rules=RULES, items=7, seed=3)
    result = done(job)
    by_job = Filling.objects.get(queue=queues[1])
    assert (result["added"], by_job.added, by_job.asked) == (7, 7, 7)
    assert by_job.counts == by_page.counts and by_job.created_by == owner.user
    hashes = [set(each.items.values_list("step_hash", flat=True)) for each in queues]
    assert hashes[0] == hashes[1]


def test_a_filling_that_is_broken_off_goes_on_and_adds_as_many_as_were_asked_for(world, owner, search, monkeypatch):
    queue = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name="A"))
    job = filling_submit(actor=owner, queue=queue, source=Source("search", search.pk), rules=RULES, items=9)
    monkeypatch.setattr(filling, "_BATCH", 2)
    claim = claimed(job)
    context = context_of(job, claim)
    emit = context.reporter.emit

    def stops(event):
        emit(event)
        if (event.done or 0) >= 4:
            context.cancel.cancel()

    monkeypatch.setattr(context.reporter, "emit", stops)
    with pytest.raises(Cancelled):
        runner_for(job.kind)(context)
    assert QueueItem.objects.count() == 6, "whole batches"
    monkeypatch.undo()
    again = context_of(job, claim)
    assert runner_for(job.kind)(again)["added"] == 9
    assert runner_for(job.kind)(again)["added"] == 9, "done twice it adds nothing more"
    assert QueueItem.objects.count() == 9 and Filling.objects.count() == 1


def test_the_page_waits_for_little_and_leaves_much_to_a_job(world, search, large):
    client, base = signed_in(world.by_role[Role.MANAGER]), f"/t/{world.team.slug}/queues/"
    page = client.get(f"{base}new/?from=search:{search.pk}").context
    form = {name: field.initial for name, field in page["form"].fields.items() if field.initial not in (None, False)}
    form |= {"source": f"search:{search.pk}", "items": 9}
    seen = client.post(f"{base}preview/", form).context["preview"]
    assert seen.steps == 8 and "2 drawn by chance" in seen.notes[0], "a preview looks at some"
    made = client.post(f"{base}new/", form)
    queue = AnnotationQueue.objects.get()
    assert made.status_code == 302 and not queue.items.exists()
    job = Job.objects.get(kind="queue-filling")
    shown = client.get(f"{base}{queue.pk}/").content.decode()
    assert f"jobs/{job.pk}/" in shown and "Steps are being chosen" in shown
    assert done(job)["added"] == 9
    shown = client.get(f"{base}{queue.pk}/").content.decode()
    assert "Steps are being chosen" not in shown and "9 items</span> from" in shown


def test_programs_get_a_job_where_there_is_much(world, search, large):
    queue = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name="A"))
    key = token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)
    source = {"source": {"kind": "search", "id": str(search.pk)}, "items": 3}
    answer = signed_in(None).post(
        f"/api/v1/teams/{world.team.slug}/queues/{queue.pk}/fillings", json.dumps(source),
        content_type="application/json", headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip
    assert answer.status_code == 202 and answer.json()["kind"] == "queue-filling"
    assert done(Job.objects.get(kind="queue-filling"))["added"] == 3


def test_a_preview_of_something_small_looks_at_all_of_it(world, search):
    seen = filling_preview(team=world.team, source=Source("search", search.pk), rules=RULES, items=5)
    assert (seen.steps, seen.notes) == (12, ())
