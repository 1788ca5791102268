"""Pages of judging: what each role is shown, what is hidden until it is judged, what reviewers do, forms of queues."""

import json
from uuid import uuid4

import pytest

from meds3core.sandbox.questions import generate
from tests.evaluations import measured
from tests.judging import BAD, GOOD, judge_all, leaks, says, secret_queue
from tests.trees import finished_search
from tests.web.people import person, signed_in
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.accounts.services import membership_set
from webapp.annotation.models import AnnotationQueue, Assignment, Judgement, QueueItem, StepFlag
from webapp.annotation.queues import QueueSettings, queue_close, queue_create
from webapp.annotation.services import step_flag
from webapp.annotation.views import outcome
from webapp.datasets.services import dataset_from_questions
from webapp.trees.models import Tree

pytestmark = pytest.mark.django_db

BASE = "/t/ward-7"


def post(client, url, body=None):
    return client.post(url, json.dumps(body or {}), content_type="application/json")


def said(verdict="good", **more):
    return {"client_id": str(uuid4()), "answers": [{"position": 0, "verdict": verdict, **more}], "seconds": 4.5}


@pytest.fixture
def clients(world):
    assert world.team
    return {role: signed_in(user) for role, user in world.by_role.items()}


def test_nothing_hidden_is_in_any_answer_before_the_judgement_is_saved(world, clients):
    queue = secret_queue(world.team)
    client, work = clients[Role.ANNOTATOR], f"{BASE}/queues/{queue.pk}/work/"
    heard = [client.get(url) for url in ("/", f"{BASE}/queues/", f"{BASE}/queues/{queue.pk}/", work)]
    for _ in range(3):
        answer = post(client, f"{work}next/", {})
        heard.append(answer)
        item = answer.json()["item"]["item"]
        acts = f"{BASE}/queue-items/{item}/work/"
        heard += [post(client, f"{acts}{act}/") for act in ("lock", "undo", "reveal", "revise", "release")]
        heard += [post(client, f"{work}next/", {}), post(client, f"{acts}save/", {"answers": "nonsense"})]
        heard.append(client.get(f"{BASE}/queue-items/{item}/"))
        assert heard[-1].status_code == 403
        saved = post(client, f"{acts}save/", said())
        assert saved.status_code == 200, saved.content
        heard += [saved, post(client, f"{acts}undo/")]
        assert heard[-1].status_code == 200
        heard.append(post(client, f"{acts}save/", said()))
        assert [leak for each in heard for leak in leaks(each)] == []
        shown = post(client, f"{acts}reveal/").json()
        assert shown["policy"] == "HIDDEN-POLICY" and shown["steps"][0]["scores"] == {"HIDDEN-JUDGE": 0.78987}
        heard = []
    assert post(client, f"{work}next/", {}).json()["reason"] == "done"


def test_a_judgement_sent_twice_is_one_and_a_change_in_sight_of_the_scores_is_not_blind(world, clients):
    queue = secret_queue(world.team, items=1, controls=0)
    client, body = clients[Role.ANNOTATOR], said()
    item = post(client, f"{BASE}/queues/{queue.pk}/work/next/").json()["item"]["item"]
    acts = f"{BASE}/queue-items/{item}/work/"
    assert post(client, f"{acts}save/", body).json() == {"late": False, "repeated": False}
    assert post(client, f"{acts}save/", body).json() == {"late": False, "repeated": True}
    again = post(client, f"{acts}save/", said("bad"))
    assert again.status_code == 409 and "before" in again.json()["detail"]
    assert again.json()["code"] == "already-judged"
    one = {"client_id": body["client_id"]}
    assert [post(client, f"{acts}undo/", one).json() for _ in range(2)] == [{"repeated": False}, {"repeated": True}]
    assert post(client, f"{acts}revise/", said("bad")).json()["code"] == "nothing-said"
    assert post(client, f"{acts}undo/", {"client_id": str(uuid4())}).json()["code"] == "nothing-said"
    body = said()
    assert post(client, f"{acts}save/", body).json() == {"late": False, "repeated": False}
    post(client, f"{acts}reveal/")
    seen = post(client, f"{acts}undo/")
    assert (seen.status_code, seen.json()["code"]) == (409, "seen")
    gone = post(client, f"{BASE}/queue-items/{uuid4()}/work/save/", said())
    assert gone.status_code == 404 and gone.json()["detail"], "whoever kept it on a device is told"
    assert post(client, f"{acts}revise/", said("bad", errors=["unsafe"])).status_code == 200
    rows = Judgement.objects.filter(item=item).order_by("round")
    assert [(row.verdict, row.blind) for row in rows] == [("good", True), ("good", True), ("bad", False)]
    assert post(client, f"{acts}dance/").status_code == 400
    assert post(client, f"{acts}save/", said("good", errors=["unsafe"])).status_code == 400


def test_a_late_judgement_is_kept_and_says_so(world, clients):
    queue = secret_queue(world.team, items=1, controls=0)
    item = post(clients[Role.ANNOTATOR], f"{BASE}/queues/{queue.pk}/work/next/").json()["item"]["item"]
    Assignment.objects.update(expires="2020-01-01T00:00Z")
    other = post(clients[Role.MANAGER], f"{BASE}/queues/{queue.pk}/work/next/").json()["item"]["item"]
    assert other == item
    acts = f"{BASE}/queue-items/{item}/work/"
    assert post(clients[Role.ANNOTATOR], f"{acts}lock/").json() == {"held": False}
    assert post(clients[Role.ANNOTATOR], f"{acts}save/", said()).json() == {"late": True, "repeated": False}
    assert post(clients[Role.MANAGER], f"{acts}save/", said()).json() == {"late": False, "repeated": False}


def test_instructions_are_shown_until_they_were_read_and_again_when_they_are_new(world, clients):
    queue = secret_queue(world.team)
    work, client = f"{BASE}/queues/{queue.pk}/work/", clients[Role.ANNOTATOR]
    assert b"data-unread" in client.get(work).content
    post(client, f"{work}instructions/", {"number": 1})
    assert b"data-unread" not in client.get(work).content
    form = {"text": "Now **differently**. <script>alert(1)</script>", "example-TOTAL_FORMS": 1}
    form |= {
        "example-INITIAL_FORMS": 0,
        "example-0-question": "Why?",
        "example-0-step": "So.",
        "example-0-verdict": "bad",
    }
    assert clients[Role.MANAGER].post(f"{BASE}/queues/{queue.pk}/instructions/", form).status_code == 302
    page = client.get(work).content.decode()
    assert "data-unread" in page and "<strong>differently</strong>" in page
    assert "<script>alert" not in page and "Example 1: Bad" in page


def test_what_each_role_is_shown_of_a_queue(world, clients):
    queue = secret_queue(world.team)
    url = f"{BASE}/queues/{queue.pk}/"
    for role, sees, judges in ((Role.ANNOTATOR, False, True), (Role.VIEWER, True, False), (Role.MANAGER, True, True)):
        page = clients[role].get(url).content.decode()
        assert ("What was put in" in page) is sees, role
        assert (f"{url}work/" in page) is judges, role
        assert ("Settings and people" in page) is (role == Role.MANAGER), role
    home = clients[Role.ANNOTATOR].get("/").content.decode()
    assert f"{url}work/" in home and "Datasets" not in home


def test_a_queue_is_made_from_a_search_in_two_requests(world, clients):
    search = finished_search(SYSTEM, world.team, name="Wards")
    client = clients[Role.MANAGER]
    assert f"queues/new/?from=search:{search.pk}" in client.get(f"{BASE}/searches/{search.pk}/").content.decode()
    page = client.get(f"{BASE}/queues/new/?from=search:{search.pk}").context
    form = {name: field.initial for name, field in page["form"].fields.items() if field.initial not in (None, False)}
    form |= {"source": page["source"].fields["source"].initial, "items": 5}
    preview = client.post(f"{BASE}/queues/preview/", form, headers={"HX-Request": "true"})
    assert preview.context["preview"].total > 0 and b'hx-swap-oob="true"' in preview.content
    whole = client.post(f"{BASE}/queues/new/", form | {"preview": "1"})
    assert whole.context["preview"].total == preview.context["preview"].total and not AnnotationQueue.objects.exists()
    made = client.post(f"{BASE}/queues/new/", form)
    queue = AnnotationQueue.objects.get()
    assert made.url == f"{BASE}/queues/{queue.pk}/" and queue.items.count() == preview.context["preview"].total
    assert queue.name == f"Steps of {search}"
    again = client.post(f"{BASE}/queues/new/", form)
    assert again.status_code == 200 and "already" in str(again.context["form"].errors["name"])
    more = client.get(f"{BASE}/queues/{queue.pk}/fill/").context
    assert more["form"].fields.keys() == {name for name in form if name.startswith("rules.")}


def test_settings_people_closing_and_deleting(world, clients):
    queue = secret_queue(world.team)
    client, url = clients[Role.MANAGER], f"{BASE}/queues/{queue.pk}/"
    annotator = world.by_role[Role.ANNOTATOR]
    page = client.get(f"{url}settings/").context
    form = {name: field.initial for name, field in page["form"].fields.items() if field.initial not in (None, False)}
    changed = form | {"wanted": 3, "named_only": "on", "people": [str(world.by_role[Role.MANAGER].pk)]}
    assert client.post(f"{url}settings/", changed).status_code == 302
    queue.refresh_from_db()
    assert (queue.wanted, queue.named_only) == (3, True)
    assert post(clients[Role.ANNOTATOR], f"{url}work/next/").json()["reason"] == "not-named"
    assert post(client, f"{url}work/next/").json()["item"]
    assert client.post(f"{url}settings/", changed | {"people": [str(annotator.pk)]}).status_code == 302
    assert post(clients[Role.ANNOTATOR], f"{url}work/next/").json()["item"]
    assert client.post(f"{url}settings/", form | {"wanted": 0}).status_code == 200
    client.post(f"{url}delete/")
    assert AnnotationQueue.objects.exists()  # it is open
    client.post(f"{url}close/")
    assert post(client, f"{url}work/next/").json()["reason"] == "closed"
    client.post(f"{url}reopen/")
    assert post(clients[Role.ANNOTATOR], f"{url}work/next/").json()["item"]
    client.post(f"{url}close/")
    assert client.post(f"{url}delete/").url == f"{BASE}/queues/"
    assert not AnnotationQueue.objects.exists()


def test_review_decides_and_hides_what_may_still_be_judged(world, clients):
    queue = secret_queue(world.team, items=4, wanted=2, controls=0)
    second = person("second")
    membership_set(actor=SYSTEM, team=world.team, user=second, role=Role.ANNOTATOR)
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: GOOD)
    url, client = f"{BASE}/queues/{queue.pk}/review/", clients[Role.MANAGER]
    page = client.get(f"{url}?show=judged")
    assert [row.is_hidden for row in page.context["rows"]] == [True] * 4  # the manager may be given them yet
    assert not [row for row in clients[Role.VIEWER].get(f"{url}?show=judged").context["rows"] if row.is_hidden]
    judge_all(Actor(second), queue, says({"Thought 0.", "Thought 1."}))
    page = client.get(url)
    assert len(page.context["rows"]) == 2 == page.context["disputed"]
    item = QueueItem.objects.get(shown__steps__0="Thought 0.")
    shown = client.get(f"{BASE}/queue-items/{item.pk}/").content.decode()
    assert "HIDDEN-POLICY" in shown and "Another thought." in shown and "Wrong fact" in shown
    nothing = client.post(f"{BASE}/queue-items/{item.pk}/decide/", {})
    assert nothing.status_code == 200 and not item.adjudications.exists()
    form = {
        "client_id": str(uuid4()),
        "step-0-verdict": "bad",
        "step-0-errors_named": ["unsafe"],
        "step-0-comment": "No.",
    }
    decided = client.post(f"{BASE}/queue-items/{item.pk}/decide/", form)
    client.post(f"{BASE}/queue-items/{item.pk}/decide/", form)  # sent twice
    assert [(row.verdict, row.errors) for row in item.adjudications.all()] == [("bad", ["unsafe"])]
    other = QueueItem.objects.get(shown__steps__0="Thought 1.")
    assert decided.url == f"{BASE}/queue-items/{other.pk}/"
    assert [row.decision for row in client.get(f"{url}?show=decided").context["rows"]] == ["bad"]
    client.post(f"{BASE}/queue-items/{item.pk}/control/")
    item.refresh_from_db()
    assert item.is_control and item.known[0]["verdict"] == "bad"
    client.post(f"{BASE}/queue-items/{item.pk}/no-control/")
    client.post(f"{BASE}/queue-items/{other.pk}/again/")
    client.post(f"{BASE}/queue-items/{other.pk}/withdraw/")
    item.refresh_from_db()
    other.refresh_from_db()
    assert not item.is_control and other.wanted == 3 and other.withdrawn
    for which in ("withdrawn", "all", "control", "commented"):
        assert client.get(f"{url}?show={which}").status_code == 200


def test_whoever_holds_the_last_place_is_not_told_what_others_said(world, clients):
    queue = secret_queue(world.team, items=1, wanted=2, controls=0)
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: GOOD)
    client, url = clients[Role.MANAGER], f"{BASE}/queues/{queue.pk}"
    held = post(client, f"{url}/work/next/").json()["item"]["item"]
    assert [row.is_hidden for row in client.get(f"{url}/review/?show=judged").context["rows"]] == [True]
    post(client, f"{BASE}/queue-items/{held}/work/release/")
    again = post(client, f"{url}/work/next/", {"holding": [held]}).json()
    assert (again["item"], again["reason"]) == (None, "done")  # what is at hand does not come twice


def test_somebody_who_holds_an_item_judges_it_before_reading_what_it_keeps_back(world, clients):
    queue = secret_queue(world.team, items=1, controls=0)
    client = clients[Role.MANAGER]
    item = post(client, f"{BASE}/queues/{queue.pk}/work/next/").json()["item"]["item"]
    held = client.get(f"{BASE}/queue-items/{item}/")
    assert held.status_code == 409 and "HIDDEN-POLICY" not in held.content.decode()


def test_agreement_and_labels_say_what_was_said(world, clients, monkeypatch):
    queue = secret_queue(world.team, items=6, wanted=2, controls=2)
    second = person("second")
    membership_set(actor=SYSTEM, team=world.team, user=second, role=Role.ANNOTATOR)
    viewer, url = clients[Role.VIEWER], f"{BASE}/queues/{queue.pk}/"
    assert b"Nothing to compare yet" in viewer.get(f"{url}agreement/").content
    assert b"Nothing was said yet" in viewer.get(f"{url}labels/").content
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: BAD)
    judge_all(Actor(second), queue, says({"Thought 0.", "Thought 4."}))
    page = viewer.get(f"{url}agreement/")
    by_name = {each.name: each for each in page.context["people"]}
    assert by_name["annotator"].counts == (0, 0, 6, 0) and by_name["second"].counts == (4, 0, 2, 0)
    assert by_name["annotator"].figures.control_accuracy.value == 1.0
    assert [(each.first, each.second, each.count) for each in page.context["pairs"][0].differing] in (
        [("bad", "good", 3)],  # of four that are no control items
        [("good", "bad", 3)],
    )
    labels = clients[Role.MANAGER].get(f"{url}labels/").context["preview"]
    strict = {"rule": "unanimous", "least": 2, "neutral": "good", "revised": "on", "controls": "on"}
    other = clients[Role.MANAGER].post(f"{url}labels/preview/", strict).context["preview"]
    assert other.labels == 2 and other.bad == 2
    assert labels.judgements == other.judgements
    for most, said, counts in ((100, "are being counted", True), (2, "when the set is made", False)):
        monkeypatch.setattr(outcome, "COUNTED_AT_ONCE", 1)
        monkeypatch.setattr(outcome, "COUNTED_AT_ALL", most)
        page = clients[Role.MANAGER].get(f"{url}labels/")
        assert "preview" not in page.context and said in page.content.decode()
        assert ('hx-trigger="load, ' in page.content.decode()) is counts


def test_a_flagged_step_is_sent_to_a_queue(world, clients):
    search = finished_search(SYSTEM, world.team, name="Wards")
    queue = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name="Flagged"))
    tree = Tree.objects.filter(job=search).first()
    flag = step_flag(actor=Actor(world.by_role[Role.MANAGER]), tree=tree, idx=1, comment="Odd")
    client = clients[Role.MANAGER]
    node = f"{BASE}/trees/{tree.pk}/nodes/1/"
    assert f"flags/{flag.pk}/send/" in client.get(node).content.decode()
    assert client.post(f"{BASE}/flags/{flag.pk}/send/", {"queue": str(queue.pk)}).url == node
    client.post(f"{BASE}/flags/{flag.pk}/send/", {"queue": str(queue.pk)})
    assert queue.items.get().rule == "flagged"
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: BAD)
    told = clients[Role.VIEWER].get(node).content.decode()
    assert "Judged in" in told and "Bad" in told
    assert "You may still be given it" in client.get(node).content.decode()  # two are wanted, the manager may be one
    queue_close(actor=SYSTEM, queue=queue)
    client.post(f"{BASE}/flags/{flag.pk}/send/", {"queue": str(queue.pk)})
    assert queue.items.count() == 1 and StepFlag.objects.count() == 1


def test_a_step_of_an_answer_is_flagged_and_sent(world, clients):
    version = dataset_from_questions(
        actor=SYSTEM, team=world.team, name="Asked", questions=generate("train", 3, seed=1)
    )
    evaluation = measured(world.team, version)
    queue = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name="Flagged"))
    client, page = clients[Role.MANAGER], f"{BASE}/evaluations/{evaluation.pk}/questions/0/"
    client.post(f"{page}flag/", {"sample": "x"})
    client.post(f"{page}flag/", {"sample": -1, "step": 99})
    assert not StepFlag.objects.exists()
    assert client.post(f"{page}flag/", {"sample": -1, "step": 1, "comment": "Whence?"}).url == page
    flag = StepFlag.objects.get()
    shown = client.get(page).content.decode()
    assert "Whence?" in shown and f"flags/{flag.pk}/send/" in shown
    assert f"{page}flag/" not in clients[Role.VIEWER].get(page).content.decode()
    assert client.post(f"{BASE}/flags/{flag.pk}/send/", {"queue": str(queue.pk)}).url == page
    assert queue.items.get().rule == "flagged"
    assert client.post(f"{BASE}/flags/{flag.pk}/withdraw/").url == page


def test_lists_ask_few_questions(world, clients, django_assert_max_num_queries):
    for number in range(5):
        secret_queue_named = queue_create(actor=SYSTEM, team=world.team, settings=QueueSettings(name=f"Q{number}"))
        assert secret_queue_named.pk
    queue = secret_queue(world.team, items=6, wanted=2)
    judge_all(Actor(world.by_role[Role.ANNOTATOR]), queue, lambda item: GOOD)
    page = f"{BASE}/queues/{queue.pk}/"
    for url, most in ((f"{BASE}/queues/", 12), (page, 12), (f"{page}review/?show=judged", 15)):
        clients[Role.MANAGER].get(url)
        with django_assert_max_num_queries(most):
            assert clients[Role.MANAGER].get(url).status_code == 200
