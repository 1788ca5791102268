"""Judging through the API: roles, what is hidden until one has judged, saving twice, review, webhooks."""

import json
from uuid import uuid4

import pytest
from django.test import override_settings

from meds3core.judgements.flagging import FlagRules
from meds3core.sandbox.questions import generate
from tests.trees import finished_search
from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.annotation.filling import Source, queue_fill
from webapp.annotation.models import AnnotationQueue, Judgement, QueueItem
from webapp.annotation.queues import QueueSettings, queue_create
from webapp.registry.bundled import bundled_ensure
from webapp.trees.models import Tree, TreeScore
from webapp.webhooks.models import Delivery, Event
from webapp.webhooks.services import webhook_create

pytestmark = pytest.mark.django_db

BASE = "/api/v1/teams/ward-7"
HIDDEN_NAMES = {
    *("kept", "known", "is_control", "priority", "rule", "rules", "scores", "value", "drop", "rollouts", "right"),
    *("policy", "origin", "before", "source_kind", "node", "tree", "filling", "control_share", "counts", "matching"),
}
SAID = [{"verdict": "bad", "errors": ["arithmetic"], "severity": "minor", "correction": "", "comment": "No."}]


class Caller:
    """Somebody with a token; remembers every answer."""

    def __init__(self, user, team, role):
        self.client, self.heard = signed_in(None), []
        self._header = {"Authorization": f"Bearer {token(user, team, role)}"}

    def __call__(self, method, path, body=None):
        answer = self.client.generic(
            method, BASE + path, json.dumps(body or {}), "application/json", headers=self._header
        )
        self.heard.append(answer.content.decode())
        return answer

    def get(self, path):
        return self("GET", path).json()

    def post(self, path, body=None):
        return self("POST", path, body).json()


@pytest.fixture
def callers(world):
    return {role: Caller(user, world.team, role) for role, user in world.by_role.items()}


@pytest.fixture
def owner(callers):
    return callers[Role.OWNER]


@pytest.fixture
def anna(callers):
    return callers[Role.ANNOTATOR]


@pytest.fixture
def queue(world):
    """Every step of three trees whose numbers are told apart, with scores; a third of them control items."""
    search = finished_search(Actor(world.by_role[Role.OWNER]), world.team)
    scores = [0.912345, 0.812345, 0.712345, 0.612345, 0.512345]
    for tree in Tree.objects.filter(job=search):
        TreeScore.objects.create(tree=tree, model=bundled_ensure(), scores=scores)
    made = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name="Doses", wanted=1))
    rules = FlagRules(most_per_question=10)
    queue_fill(actor=SYSTEM, queue=made, source=Source("search", search.pk), rules=rules, items=12)
    for row in list(QueueItem.objects.order_by("pk")[:4]):
        known = [{"verdict": "bad"}]
        QueueItem.objects.filter(pk=row.pk).update(is_control=True, known=known, wanted=1000)
    return made


def names_in(found):
    """Every key of a JSON value, at any depth."""
    if isinstance(found, dict):
        return set(found) | {name for value in found.values() for name in names_in(value)}
    if isinstance(found, list):
        return {name for value in found for name in names_in(value)}
    return set()


def gives_away(text: str) -> set[str]:
    """What an answer says that it must not: names of hidden fields, scores, the model that gave them, rules."""
    found = names_in(json.loads(text)) & HIDDEN_NAMES if text else set()
    numbers = {"0.912345", "0.812345", "0.712345", "0.612345", "0.512345", "0.75", "0.25"}
    words = {"clinic-", "clinic v", '"drop"', '"disagreement"', '"uncertain"', '"bad-in-right"', '"random"'}
    return found | {each for each in numbers | words if each in text}


def test_nothing_is_given_away_before_one_has_judged(queue, anna):
    path = f"/queues/{queue.pk}"
    judged = 0
    while (item := (pulled := anna.post(f"{path}/pull"))["item"]) is not None:
        on = f"/items/{item['item']}"
        following = anna.post(f"{path}/pull", {"holding": [item["item"]]})["item"]
        everything = (
            *(("GET", ""), ("GET", "/queues"), ("GET", path), ("GET", f"{path}/instructions"), ("GET", f"{path}/mine")),
            *(("GET", f"{path}/progress"), ("GET", f"{path}/items"), ("GET", f"{path}/judgements")),
            *(("GET", f"{path}/settings"), ("GET", f"{path}/fillings"), ("GET", on), ("GET", f"{on}/work")),
            *(("GET", f"{on}/revealed"), ("POST", f"{on}/renew"), ("POST", f"{on}/undo"), ("POST", f"{on}/again")),
            ("GET", "/flags"),
        )
        for method, rest in everything if judged < 3 else ():
            assert anna(method, rest).status_code < 500
        refused = anna("POST", f"{on}/judgements", {"id": str(uuid4()), "answers": [*SAID, *SAID]})
        assert refused.status_code == 422
        if following is not None:
            other = anna("GET", f"/items/{following['item']}/revealed")
            assert other.status_code == 422, "the next one is not judged yet"
        quiet = {"id": str(uuid4()), "answers": SAID, "reveal": False}
        assert anna("POST", f"{on}/judgements", quiet).json()["revealed"] is None
        anna("POST", f"{on}/judgements", quiet)
        assert [each for text in anna.heard for each in gives_away(text)] == []
        anna.heard.clear()
        shown = anna.get(f"{on}/revealed")
        assert shown["rule"] and shown["steps"][0]["scores"] and gives_away(json.dumps(shown))
        anna.heard.clear()
        judged += 1
    assert (pulled["reason"], judged) == ("done", 12)


def test_ids_of_items_tell_no_order(queue, anna):
    assert {row.pk.version for row in QueueItem.objects.all()} == {4}


def test_the_answer_comes_with_the_judgement_and_a_change_is_not_blind(queue, anna):
    item = anna.post(f"/queues/{queue.pk}/pull")["item"]["item"]
    body = {"id": str(uuid4()), "answers": SAID, "seconds": 4.5}
    first = anna("POST", f"/items/{item}/judgements", body)
    assert first.status_code == 201 and first.json()["revealed"]["steps"]
    again = anna.post(f"/items/{item}/judgements", body)
    assert (again["repeated"], again["judgements"]) == (True, first.json()["judgements"])
    other = anna("POST", f"/items/{item}/judgements", {"id": str(uuid4()), "answers": SAID})
    assert (other.status_code, other.json()["code"]) == (422, "already-judged")
    change = {"id": str(uuid4()), "answers": [{"verdict": "good"}], "change": True}
    assert anna.post(f"/items/{item}/judgements", change)["blind"] is False
    assert anna("POST", f"/items/{item}/undo").json()["code"] == "seen"
    whole = anna.get(f"/items/{item}/work")
    assert [(said["round"], said["blind"]) for said in whole["said"]] == [(1, True), (2, False)]
    mine = anna.get(f"/queues/{queue.pk}/mine")["items"]
    assert [(each["item"], each["verdicts"], each["revealed"]) for each in mine] == [(item, ["good"], True)]
    assert anna("POST", f"/items/{item}/judgements", {"id": str(uuid4()), "answers": [{"verdict": "fine"}]}
                ).status_code == 422  # fmt: skip


def test_a_viewer_judges_nothing_and_an_annotator_sees_queues_and_nothing_else(queue, callers, anna):
    viewer = callers[Role.VIEWER]
    item = QueueItem.objects.filter(is_control=False)[0].pk
    for path in (f"/queues/{queue.pk}/pull", f"/items/{item}/judgements", f"/items/{item}/decisions"):
        assert viewer("POST", path).status_code == 403
    assert viewer.get(f"/items/{item}")["kept"]["steps"]
    for path in ("/searches", "/models", "/datasets", "/jobs", "/evaluations", "/label-sets", f"/items/{item}"):
        assert anna("GET", path).status_code == 403, path
    assert anna("GET", "/queues").status_code == 200
    tree = Tree.objects.all()[0].pk
    assert anna("POST", f"/trees/{tree}/flags", {"node": 1}).status_code == 403


def test_reviewers_read_decide_and_plant(queue, owner, anna):
    item = anna.post(f"/queues/{queue.pk}/pull")["item"]["item"]
    anna.post(f"/items/{item}/judgements", {"id": str(uuid4()), "answers": SAID})
    whole = owner.get(f"/items/{item}")
    assert whole["source_exists"] and whole["judgements"][0]["answer"]["comment"] == "No."
    assert owner.get(f"/judgements/{whole['judgements'][0]['id']}")["name"] == "annotator"
    decision = {"id": str(uuid4()), "answers": [{"verdict": "good"}]}
    made = [owner("POST", f"/items/{item}/decisions", decision) for _ in range(2)]
    assert made[0].status_code == 201 and made[0].json() == made[1].json()
    assert owner("PUT", f"/items/{item}/control", {"answers": [{"verdict": "good"}]}).status_code == 204
    assert owner.get(f"/items/{item}")["kept"]["known"][0]["verdict"] == "good"
    assert owner("DELETE", f"/items/{item}").status_code == 204
    rows = owner.get(f"/queues/{queue.pk}/judgements?which=blind")["items"]
    assert [row["agreement"] for row in rows] == [True]
    people = owner.get(f"/queues/{queue.pk}/progress")["people"]
    assert [(each["name"], each["judged"]) for each in people] == [("annotator", 1)]
    Tree.objects.filter(pk=whole["source"]).delete()
    assert owner.get(f"/items/{item}")["source_exists"] is False


def test_programs_make_fill_and_close_a_queue(owner, world):
    settings = {"name": "Sent", "wanted": 1}
    made = owner("POST", "/queues", {"settings": settings})
    assert made.status_code == 201
    queue = made.json()["id"]
    assert owner("POST", "/queues", {"settings": settings}).json()["code"] == "queue"
    search = finished_search(Actor(world.by_role[Role.OWNER]), world.team)
    source = {"source": {"kind": "search", "id": str(search.pk)}, "items": 4}
    seen = owner.post("/queues/preview", source)
    assert (seen["total"], sum(seen["chosen"].values())) == (4, 4)
    assert owner.post(f"/queues/{queue}/fillings", source)["added"] == 4
    question = generate("train", 9)[8].model_dump(mode="json")
    step = {"question": question, "prefix": ["So."], "steps": ["The answer is 7."], "known": [{"verdict": "bad"}]}
    sent = owner.post(f"/queues/{queue}/items", {"items": [step, step], "title": "By hand"})
    assert sent["items"][0] == sent["items"][1] and sent["filling"]["added"] == 1
    figures = owner.get(f"/queues/{queue}/progress")
    assert (figures["items"], figures["controls"]) == (4, 1)
    assert owner("DELETE", f"/queues/{queue}").json()["code"] == "queue", "it is open"
    assert owner.post(f"/queues/{queue}/close")["state"] == "closed"
    assert owner.post(f"/queues/{queue}/pull")["reason"] == "closed"
    assert owner("DELETE", f"/queues/{queue}").status_code == 204
    assert not AnnotationQueue.objects.exists() and not QueueItem.objects.exists()


def test_new_instructions_are_to_be_shown_again(queue, owner, anna):
    assert anna.get(f"/queues/{queue.pk}")["mine"]["instructions_seen"] == 0
    anna("POST", f"/queues/{queue.pk}/instructions/seen", {"number": 1})
    owner.post(f"/queues/{queue.pk}/instructions", {"text": "Look twice."})
    mine = anna.get(f"/queues/{queue.pk}")["mine"]
    assert (mine["instructions"], mine["instructions_seen"]) == (2, 1)
    item = anna.post(f"/queues/{queue.pk}/pull")["item"]["item"]
    anna.post(f"/items/{item}/judgements", {"id": str(uuid4()), "answers": SAID})
    assert Judgement.objects.get().instructions == 1


def test_webhooks_are_told(queue, anna, owner, world):
    with override_settings(OUTBOUND_ALLOW=["hooks.ward.example"]):
        webhook_create(actor=SYSTEM, team=world.team, name="w", url="https://hooks.ward.example/", events=list(Event))
    QueueItem.objects.filter(is_control=True).delete()
    QueueItem.objects.filter(pk__in=list(QueueItem.objects.values_list("pk", flat=True)[1:])).delete()
    item = anna.post(f"/queues/{queue.pk}/pull")["item"]["item"]
    anna.post(f"/items/{item}/judgements", {"id": str(uuid4()), "answers": SAID})
    owner.post(f"/items/{item}/decisions", {"answers": SAID})
    owner.post(f"/queues/{queue.pk}/close")
    told = [(each.event, str(each.thing)) for each in Delivery.objects.order_by("id")]
    said = str(Judgement.objects.get().pk)
    assert told == [
        ("item.completed", item),
        ("queue.completed", str(queue.pk)),
        ("judgement.saved", said),
        ("item.adjudicated", item),
        ("queue.closed", str(queue.pk)),
    ]
