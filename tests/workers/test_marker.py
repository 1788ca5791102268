"""Nothing that somebody wrote reaches a log, an event, a metric, the audit log or an error message: a word is planted
in questions, files, searches, addresses and crashing jobs of the real stack, and then looked for everywhere.
"""

import json
import zlib
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from meds3core.config.chat import ChatConfig
from tests.chatting import asked
from tests.trees import search_spec
from tests.web.people import World, signed_in, token
from tests.workers.stack import running_stack, wait_for
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.chat.models import Message
from webapp.datasets.models import DatasetVersion, QuestionRow, RejectedRow
from webapp.jobs.models import Checkpoint, Job, JobEvent, JobStage, MetricChunk
from webapp.jobs.transitions import ENDED
from webapp.registry.bundled import bundled_ensure
from webapp.trees.models import Tree
from webapp.trees.services import arena_read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]

MARKER = "zebrastripes77"
LOUD = {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.local", "MEDS3_LOG_LEVEL": "DEBUG"}

GOOD = [
    {"id": "1", "question": f"Which animal is the {MARKER}?", "options": {"A": "horse", "B": MARKER}, "answer": "A"},
    {"id": "2", "question": f"Is {MARKER} one word?", "answer": "yes"},
]
BAD = [
    {"id": MARKER, "question": "", "answer": MARKER},
    {"id": "4", "question": MARKER, "options": {"A": MARKER, "B": "two"}, "answer": MARKER},
    {"id": "5", "question": MARKER, "answer": {"value": MARKER, "unit": MARKER, "kind": MARKER}},
    {"id": "6", "question": MARKER},
]


class Program:
    """Somebody's client of the API, over a real connection."""

    def __init__(self, url, bearer):
        self.headers = {"Authorization": f"Bearer {bearer}"}
        self._client = httpx.Client(base_url=url, headers=self.headers, timeout=60)

    def __call__(self, method, path, **how):
        return self._client.request(method, f"/api/v1/teams/ward-7{path}", **how)

    def done(self, job):
        """The job when it has ended."""
        wait_for(lambda: Job.objects.filter(pk=job, state__in=ENDED).exists(), f"the end of {job}")
        return self("GET", f"/jobs/{job}").json()

    def upload(self, name, content):
        """A file in the team's hands."""
        sent = {"purpose": "dataset", "files": [{"name": name, "size": len(content)}]}
        made = self("POST", "/uploads", json=sent).json()
        self("PUT", f"/uploads/files/{made['files'][0]['id']}", content=content)
        assert self("POST", f"/uploads/{made['id']}/complete").json()["state"] == "complete"
        return {"kind": "upload", "id": made["id"]}


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


@pytest.fixture
def studio(tmp_path, world):
    """Web, two workers, the sweep and Redis, all of them as talkative as they can be."""
    with running_stack(tmp_path) as stack:
        url = stack.start_web(**LOUD)
        stack.start_worker("cpu-m", **LOUD)
        stack.start_worker("gpu-m", queue="gpu", **LOUD)
        stack.start_chat(**LOUD)
        wait_for(lambda: _answers(url), "the pages")
        stack.url, stack.program = url, Program(url, token(world.by_role[Role.OWNER], world.team, Role.OWNER))
        yield stack


def _answers(url):
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_what_people_write_stays_where_it_belongs(studio, world, tmp_path):
    ask, answers = studio.program, []

    # A file with good rows and bad ones becomes a dataset; broken files become nothing.
    lines = "".join(json.dumps(row) + "\n" for row in GOOD + BAD) + f'{{"id": "7", "question": "{MARKER}\n'
    spec = {"kind": "import", "upload": ask.upload("ward.jsonl", lines.encode()), "name": "Ward"}
    imported = ask.done(ask("POST", "/jobs", json={"spec": spec}).json()["id"])
    if imported["state"] != "succeeded":  # one broken line may refuse the whole file: without it then
        answers.append(json.dumps(imported))
        lines = "".join(json.dumps(row) + "\n" for row in GOOD + BAD)
        spec["upload"] = ask.upload("ward.jsonl", lines.encode())
        imported = ask.done(ask("POST", "/jobs", json={"spec": spec}).json()["id"])
    assert imported["state"] == "succeeded", imported["error_message"]
    for name, content in (("broken.json", f'[{{"question": "{MARKER}'), ("table.csv", f"{MARKER}\n{MARKER}\n")):
        broken = {"kind": "import", "upload": ask.upload(name, content.encode()), "name": name}
        failed = ask.done(ask("POST", "/jobs", json={"spec": broken}).json()["id"])
        answers.append(json.dumps({key: failed[key] for key in ("error_code", "error_message", "result")}))
    version = DatasetVersion.objects.get(dataset__name="Ward", ready=True)
    assert QuestionRow.objects.filter(version=version, folded__contains=MARKER.casefold()).count() >= 2

    # Looked for in texts; and put into addresses, where it should not be.
    found = ask("POST", f"/dataset-versions/{version.pk}/questions/search", json={"text": MARKER})
    assert found.status_code == 200 and MARKER in found.text
    for query in ({"q": MARKER}, {"source": MARKER}, {"before": MARKER}):
        ask("GET", "/datasets", params=query)
        httpx.get(f"{studio.url}/t/ward-7/datasets/", params=query)

    # What does not fit is refused without being repeated.
    for body in (
        {"spec": {"kind": MARKER}},
        {"spec": {"kind": "search", "questions": MARKER, "policy": {"kind": MARKER, "id": MARKER}}},
        {"spec": {"kind": "search", "concurrency": MARKER, "search": {"max_nodes": MARKER, MARKER: 1}}},
        {"spec": {"kind": "export", "what": {"path": f"/{MARKER}"}}, "priority": MARKER},
        MARKER,
    ):
        refused = ask("POST", "/jobs", json=body)
        assert refused.status_code == 422
        answers.append(json.dumps([each["what"] for each in refused.json().get("problems", [])]))
    answers.append(ask("POST", "/jobs", content=f'{{"spec": {MARKER}').text)

    # A search over these questions; then jobs that break in the middle of what people wrote.
    search = ask.done(ask("POST", "/jobs", json={"spec": search_spec(version)}).json()["id"])
    assert search["state"] == "succeeded", search["error_message"]
    trees = Tree.objects.filter(job=search["id"])
    assert any(MARKER in arena_read(bytes(tree.arena)) for tree in trees)
    trees.update(arena=zlib.compress(json.dumps({"question": {"text": MARKER}, MARKER: MARKER}).encode()))
    labels = {"kind": "labels", "trees": [{"kind": "trees", "id": search["id"]}], "sft": {}}
    QuestionRow.objects.filter(version=version).update(record={"question": MARKER, MARKER: [MARKER]})
    for spec in (labels, search_spec(version, seed=1)):
        crashed = ask.done(ask("POST", "/jobs", json={"spec": spec}).json()["id"])
        assert crashed["state"] == "failed"
        answers.append(json.dumps({key: crashed[key] for key in ("error_code", "error_message", "result")}))
    answers += chatted(studio, world)
    metrics = signed_in(world.operator).get("/metrics").content.decode()

    places = {f"an answer {number}": text for number, text in enumerate(answers)} | {"metrics": metrics} | rows()
    places |= {str(path): path.read_text(errors="replace") for path in [*tmp_path.glob("*.log"), *logs_of_jobs()]}
    assert sum(imported["id"] in text for name, text in places.items() if name.endswith(".log")) >= 1  # they do log
    assert len([name for name in places if name.endswith("/log")]) >= 4
    assert [name for name, text in places.items() if MARKER in text] == []


def chatted(studio, world):
    """What is said in chats, by pages and by programs, rated and too long; gives what was refused."""
    said = {"model": f"{bundled_ensure().team.slug}/{bundled_ensure().name}", "max_tokens": 30}
    said["messages"] = [{"role": "system", "content": MARKER}, {"role": "user", "content": f"What is {MARKER}?"}]
    refused = []
    with httpx.Client(base_url=f"{studio.url}/v1", headers=dict(studio.program.headers), timeout=120) as client:
        whole = client.post("/chat/completions", json=said)
        assert whole.status_code == 200, whole.text
        assert client.post("/chat/completions", json=said | {"stream": True}).text.endswith("data: [DONE]\n\n")
        for wrong in (
            {"messages": [{"role": MARKER, "content": MARKER}]},
            {"messages": [{"role": "user", "content": f"{MARKER} " * 20_000}]},
            {"stop": [MARKER] * 9},
            {"meds3": {"way": MARKER}},
            {"model": MARKER},
        ):
            told = client.post("/chat/completions", json=said | wrong)
            assert told.status_code in (400, 404)
            refused.append(told.text)
    message = asked(world.team, f"What is {MARKER}?", config=ChatConfig(max_tokens=30, system=MARKER))
    wait_for(lambda: Message.objects.filter(pk=message.pk, state="done").exists(), "an answer")
    owner = signed_in(message.conversation.owner)
    place = f"/t/{world.team.slug}/chat/{message.conversation_id}"
    assert owner.post(f"{place}/messages/{message.pk}/rate/", {"thumb": "1", "comment": MARKER}).status_code == 302
    owner.post(f"{place}/say/", {"text": f"{MARKER} " * 20_000})
    owner.post(f"/t/{world.team.slug}/chat/", {"words": MARKER})
    owner.post(f"{place}/rename/", {"title": MARKER})
    owner.post(f"{place}/share/", {"shared": "1"})
    assert MARKER in owner.get(f"{place}/export.json").text
    with transaction.atomic():
        broken = asked(world.team, f"What is {MARKER}?")
        Message.objects.filter(pk=broken.pk).update(config={"way": MARKER})  # breaks in the worker's hands
    wait_for(lambda: Message.objects.filter(pk=broken.pk, state="failed").exists(), "the turn to fail")
    owner.post(f"{place}/delete/")
    return refused


def rows():
    """Everything that tells what happened, by table."""
    kept = {
        JobEvent: ("text", "data"),
        JobStage: ("name", "details"),
        MetricChunk: ("name",),
        Checkpoint: ("name", "path", "label"),
        AuditEntry: ("verb", "subject", "details"),
        RejectedRow: ("reason",),
        Message: ("error_code", "error_message", "note", "worker"),
        Job: ("title", "error_code", "error_message", "result", "stage"),
    }
    return {
        table.__name__: json.dumps(list(table.objects.values_list(*columns)), default=str)
        for table, columns in kept.items()
    }


def logs_of_jobs():
    """What jobs' own processes wrote."""
    return Path(settings.FILES).glob("jobs/*/*/log")
