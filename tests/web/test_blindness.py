"""Whoever may yet judge a step learns nothing of it: by no page, operation or list, whatever their role."""

import json
from uuid import uuid4

import pytest
from django.http import HttpResponse

from tests.judging import BAD, GOOD, judge_all, leaks, secret_queue
from tests.web.people import person, signed_in, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.accounts.services import membership_set
from webapp.annotation import api, api_outcome, api_queues, api_review, api_work, review, urls, work
from webapp.annotation.models import Judgement, QueueItem
from webapp.annotation.shown import work_item
from webapp.annotation.views import work as work_pages

pytestmark = pytest.mark.django_db

PAGES, API = "/t/ward-7", "/api/v1"
ROUTERS = (api.router, api_work.router, api_queues.router, api_review.router, api_outcome.router)
SAID = [{"verdict": "good"}]
SAVE = "judgement_save"


def page(user):
    """Asks pages as somebody who is signed in."""
    client = signed_in(user)
    return lambda method, path, body=None: client.generic(
        method, PAGES + path, json.dumps(body or {}), "application/json"
    )


def program(user, team, role):
    """Asks the API with a token."""
    client, header = signed_in(None), {"Authorization": f"Bearer {token(user, team, role)}"}
    return lambda method, path, body=None: client.generic(
        method, f"{API}/teams/ward-7{path}", json.dumps(body or {}), "application/json", headers=header
    )


@pytest.fixture
def anna(world):
    user = world.by_role[Role.ANNOTATOR]
    return page(user), program(user, world.team, Role.ANNOTATOR)


def everything(queue, item):
    """Every page of judging and every operation of its API but those that save, about this item: (door, method, path).

    `release`, which gives the item back, comes last.
    """
    ids = {"queue_id": queue.pk, "item_id": item, "ask": "again", "node": 1, "position": 0}
    calls = []
    for pattern in urls.team:
        for act in [*work_pages.ACTS, "dance"] if pattern.name == "item-act" else [""]:
            if act in ("save", "skip"):
                continue
            own = {name: ids.get(name, uuid4()) for name in pattern.pattern.converters} | {"act": act}
            path = str(pattern.pattern)
            for name, converter in pattern.pattern.converters.items():
                kind = type(converter).__name__.removesuffix("Converter").lower()
                path = path.replace(f"<{kind}:{name}>", str(own[name]))
            calls += [(0, method, f"/{path}") for method in ("GET", "POST")]
    for router in ROUTERS:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                if operation.operation_id == SAVE:
                    continue
                for name in ("judgement_id", "tree_id", "evaluation_id", "flag_id", "label_set_id"):
                    ids.setdefault(name, uuid4())
                filled = path.removeprefix("/teams/{team_slug}").format(**ids)
                calls += [(1, method, filled) for method in operation.methods]
    assert len(calls) > 70
    return sorted(calls, key=lambda call: "release" in call[2])


def heard_of(doors, queue, item):
    """What all of it answers."""
    calls = everything(queue, item)
    answers = [doors[door](method, path) for door, method, path in calls]
    assert all(each.status_code < 500 for each in answers)
    assert all(answer.status_code != 405 for answer, call in zip(answers, calls, strict=True) if call[0] == 1)
    return answers


def test_no_page_and_no_operation_tells_anything_before_the_judgement_is_saved(world, anna):
    queue = secret_queue(world.team, items=3, controls=1)
    pages, programs = anna
    seen = set()
    for _ in range(3):
        item = pages("POST", f"/queues/{queue.pk}/work/next/").json()["item"]["item"]
        seen.add(item)
        heard = heard_of(anna, queue, item)
        assert sum(each.status_code == 200 for each in heard) > 12, "what an annotator may ask answers"
        assert [leak for each in heard for leak in leaks(each)] == []
        pages("POST", f"/queues/{queue.pk}/work/next/")
        quiet = {"id": str(uuid4()), "answers": SAID, "reveal": False}
        assert leaks(programs("POST", f"/items/{item}/judgements", quiet)) == set()
        shown = programs("GET", f"/items/{item}/revealed")
        assert leaks(shown) >= {"HIDDEN-POLICY", "scores"}
    assert len(seen) == 3


def with_kept(assignment):
    """A work item that tells what it must not."""

    class Leaky:
        def model_dump(self, mode):
            return work_item(assignment=assignment).model_dump(mode=mode) | {"extra": assignment.item.kept}

    return Leaky()


@pytest.mark.parametrize("where", ["the page's answers", "the API", "a page's HTML"])
def test_the_test_above_sees_a_leak_wherever_it_is(world, anna, monkeypatch, where):
    queue = secret_queue(world.team, items=1, controls=1)
    item = anna[0]("POST", f"/queues/{queue.pk}/work/next/").json()["item"]["item"]
    if where == "the page's answers":
        monkeypatch.setattr(work_pages, "work_item", with_kept)
    elif where == "the API":
        told = {"state": QueueItem.objects.get().kept["origin"]["policy"]}
        monkeypatch.setattr(
            api_work, "work_item", lambda *, assignment: work_item(assignment=assignment).model_copy(update=told)
        )
    else:
        kept = QueueItem.objects.get().kept
        monkeypatch.setattr(work_pages, "render", lambda *_: HttpResponse(f"<p>{json.dumps(kept)}</p>"))
    assert any(leaks(each) for each in heard_of(anna, queue, item))


@pytest.fixture
def judged(world):
    """Three items, of which two are wanted, the first one a control item; somebody else has judged them all."""
    queue = secret_queue(world.team, items=3, wanted=2, controls=1)
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: BAD)
    return queue


def test_owners_who_judge_are_not_told_by_lists_what_others_say(world, judged):
    owner, viewer = (program(world.by_role[role], world.team, role) for role in (Role.OWNER, Role.VIEWER))
    path = f"/queues/{judged.pk}"
    one = Judgement.objects.get(item__is_control=True)
    assert owner("GET", f"{path}/judgements").json()["items"] == []
    refused = owner("GET", f"/judgements/{one.pk}")
    assert refused.status_code == 422 and "hidden until you have judged it" in refused.json()["detail"]
    items = owner("GET", f"{path}/items").json()["items"]
    assert [(each["judged"], each["completed"]) for each in items] == [(None, None)] * 3
    assert len(viewer("GET", f"{path}/judgements").json()["items"]) == 3, "a viewer judges nothing"
    narrow = program(world.by_role[Role.OWNER], world.team, Role.VIEWER)
    assert narrow("GET", f"{path}/judgements").json()["items"] == [], "the same person is behind it"
    judge_all(Actor(world.by_role[Role.OWNER]), judged, lambda item: GOOD)
    assert len(owner("GET", f"{path}/judgements?which=blind").json()["items"]) == 6
    assert owner("GET", f"/judgements/{one.pk}").status_code == 200
    assert {each["judged"] for each in owner("GET", f"{path}/items").json()["items"]} == {2}
    control = QueueItem.objects.get(is_control=True)
    work.judgement_undo(actor=Actor(world.by_role[Role.OWNER]), item=control)
    others = {each["item"] for each in owner("GET", f"{path}/judgements").json()["items"] if each["name"] != "owner"}
    assert str(control.pk) not in others, "taken back, it is judged blind again"


def test_no_filter_of_the_list_tells_which_items_are_planted_disputed_or_decided(world, judged):
    owner, viewer = (page(world.by_role[role]) for role in (Role.OWNER, Role.VIEWER))
    viewers = Actor(world.by_role[Role.MANAGER])
    for item in QueueItem.objects.all():
        review.item_adjudicate(actor=viewers, item=item, answers=[GOOD])
    url = f"/queues/{judged.pk}/review/?show="
    for which in ("disputed", "decided", "commented", "control"):
        assert owner("GET", url + which).context["rows"] == [], which
        assert b"may still be given are left out" in owner("GET", url + which).content
    shown = [len(viewer("GET", url + which).context["rows"]) for which in ("decided", "commented", "control")]
    assert shown == [3, 3, 1]
    listed = owner("GET", f"{url}all")
    assert len(listed.context["rows"]) == 3 and all(row.is_hidden for row in listed.context["rows"])
    assert b"Control item</span>" not in listed.content and b"person has judged" not in listed.content


def test_the_next_disagreement_is_never_one_that_the_reviewer_may_yet_judge(world):
    queue = secret_queue(world.team, items=2, wanted=3, controls=0)
    for name, answer in (("second", GOOD), ("third", BAD)):
        user = person(name)
        membership_set(actor=SYSTEM, team=world.team, user=user, role=Role.ANNOTATOR)
        judge_all(Actor(user), queue, lambda item, said=answer: said)
    owner = page(world.by_role[Role.OWNER])
    first, other = QueueItem.objects.order_by("pk")
    shown = owner("GET", f"/queue-items/{first.pk}/")  # the owner's own choice
    assert shown.status_code == 200 and shown.context["following"] is None
    client = signed_in(world.by_role[Role.OWNER])
    decided = client.post(f"{PAGES}/queue-items/{first.pk}/decide/", {"step-0-verdict": "bad"})
    assert decided.url == f"{PAGES}/queues/{queue.pk}/review/"
    assert not other.assignments.filter(annotator=world.by_role[Role.OWNER]).exists()
    judge_all(Actor(world.by_role[Role.OWNER]), queue, lambda item: GOOD)
    assert owner("GET", f"/queue-items/{first.pk}/").context["following"] == other.pk
