"""Judging at size, on both databases.

    python -m tests.benchmarks.bench_judging               the whole of it
    python -m tests.benchmarks.bench_judging --scale 0.02  less, to try

A queue of 20,000 items: an annotator's requests one after the other, from middleware to the answer: the next item, the
saving, what was hidden, an undo. In it 5,000 items are judged by three people each: agreement, the pages of reviewers.
A queue is filled from a search of 3,000 trees with scores, as a page does it (preview and 200 items of 1,000 trees)
and as a job does it (2,000 items of all trees), and how much memory the process grows by. The last line is the figures.
"""

import argparse
import json
import random
import resource
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from tests.benchmarks.bench_pages import figure
from tests.benchmarks.databases import on_both, web_ready

ITEMS, JUDGED, TREES, PEOPLE, ROUNDS = 20_000, 5_000, 3_000, 3, 400
SAVE_MS, PAGE_MS = 80, 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.scale, options.rounds)))
        return
    figures = on_both(
        "tests.benchmarks.bench_judging", "--inside", "--scale", str(options.scale), "--rounds", str(options.rounds)
    )
    sizes = {"items": round(ITEMS * options.scale), "judged": round(JUDGED * options.scale), "people": PEOPLE}
    sizes |= {"trees": round(TREES * options.scale), "wanted_ms": SAVE_MS}
    print(json.dumps({"bench": "judging", **sizes, "databases": figures}))


def measure(scale: float, rounds: int) -> dict[str, Any]:
    """Fill the database that the environment names, and ask."""
    web_ready()
    filling = _filling(round(TREES * scale))  # first: memory that is grown stays grown
    team, queue, clients = _queue(round(ITEMS * scale), round(JUDGED * scale))
    return {"requests": _requests(team, queue, clients[-1], rounds), "filling": filling} | _review(team, queue, clients)


# --- an annotator --------------------------------------------------------------------------------------------------


def _requests(team: Any, queue: Any, client: Any, rounds: int) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {}

    def ask(name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        begun = time.perf_counter()
        answer = client.post(f"/t/{team.slug}/{path}/", json.dumps(body), content_type="application/json")
        times.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found

    for number in range(rounds + 20):
        item = ask("pull", f"queues/{queue.pk}/work/next", {})["item"]["item"]
        work = f"queue-items/{item}/work"
        said: dict[str, Any] = {"position": 0, "verdict": "bad", "errors": ["wrong-fact"], "comment": "No."}
        if number % 4 == 3:
            ask("save", f"{work}/save", {"client_id": str(uuid4()), "answers": [said], "seconds": 9.5})
            ask("undo", f"{work}/undo", {})
        ask("save", f"{work}/save", {"client_id": str(uuid4()), "answers": [said], "seconds": 9.5})
        ask("reveal", f"{work}/reveal", {})
    return {name: _spread(each[5:]) for name, each in times.items()}


def _spread(times: list[float]) -> dict[str, float]:
    times = sorted(times)
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    return {"median_ms": round(times[len(times) // 2], 1), "p95_ms": round(p95, 1), "worst_ms": round(times[-1], 1)}


# --- reviewers -----------------------------------------------------------------------------------------------------


def _review(team: Any, queue: Any, clients: list[Any]) -> dict[str, Any]:
    from webapp.annotation.agreement import agreement_of

    begun = time.perf_counter()
    agreement_of(queue=queue)
    agreement = round(time.perf_counter() - begun, 2)
    base = f"/t/{team.slug}/queues/"
    pages = {
        "queues": base,
        "the queue": f"{base}{queue.pk}/",
        "review, disagreements": f"{base}{queue.pk}/review/",
        "review, all": f"{base}{queue.pk}/review/?show=all",
        "labels and files": f"{base}{queue.pk}/labels/",
    }
    found = {name: figure(lambda path=path: clients[0].get(path), 20) for name, path in pages.items()}
    begun = time.perf_counter()
    form = {"rule": "majority", "least": 1, "neutral": "good", "revised": "on", "controls": "on"}
    answer = clients[0].post(f"{base}{queue.pk}/labels/preview/", form)
    assert answer.status_code == 200 and b"Mend" not in answer.content
    counted = round(time.perf_counter() - begun, 2)
    return {"agreement_s": agreement, "labels_counted_s": counted, "pages": found}


# --- filling -------------------------------------------------------------------------------------------------------


def _filling(trees: int) -> dict[str, Any]:
    from django.db import transaction

    from meds3core.judgements.flagging import FlagRules
    from tests.benchmarks.bench_labels import synthetic_tree
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import User
    from webapp.accounts.services import team_create
    from webapp.annotation import candidates
    from webapp.annotation.filling import MOST_WAITED_FOR, Source, filling_preview, queue_fill
    from webapp.annotation.queues import QueueSettings, queue_create
    from webapp.common.bulk import rows_insert
    from webapp.jobs.models import Job, State
    from webapp.registry.bundled import bundled_ensure
    from webapp.trees.models import NodeRow, TreeScore
    from webapp.trees.services import _NODE_COLUMNS, _node_rows, _tree_row

    team = team_create(actor=SYSTEM, name="Woods", owner=User.objects.create(username="woodsman"))
    job = Job.objects.create(team=team, kind="search", title="Large", spec={}, spec_hash="0", state=State.SUCCEEDED)
    model, rng = bundled_ensure(), random.Random(1)
    nodes = 0
    for start in range(0, trees, 50):
        with transaction.atomic():
            for number in range(start, min(start + 50, trees)):
                made = synthetic_tree(number)
                row = _tree_row(job.pk, number, made, "", None, None)
                row.team_id = team.pk
                row.save(force_insert=True)
                rows_insert(NodeRow, _NODE_COLUMNS, _node_rows(row, made))
                TreeScore.objects.create(tree=row, model=model, scores=[rng.random() for _ in made.nodes])
                nodes += len(made.nodes)
    wanted: dict[str, Any] = {"source": Source("search", job.pk), "rules": FlagRules()}
    before = _peak()

    def timed(act: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        act()
        return round(time.perf_counter() - begun, 2)

    found: dict[str, Any] = {"nodes": nodes}
    found["preview_s"] = timed(lambda: filling_preview(team=team, items=200, **wanted))
    queue = queue_create(actor=SYSTEM, team=team, settings=QueueSettings(name="Filled"))
    before_all = _peak()
    found["choosing_all_s"] = timed(
        lambda: candidates.search_candidates(team=team, job_id=job.pk, rules=FlagRules(), mode=candidates.ItemMode.STEP)
    )
    found["choosing_grown_mib"] = _peak() - before_all
    few, many = min(200, MOST_WAITED_FOR), min(2_000, trees)
    found["few"], found["many"] = few, many
    found["few_s"] = timed(lambda: queue_fill(actor=SYSTEM, queue=queue, items=few, **wanted))
    found["many_s"] = timed(lambda: queue_fill(actor=SYSTEM, queue=queue, items=many, **wanted))
    found["grown_mib"] = _peak() - before
    return found


def _peak() -> int:
    """MiB that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _queue(count: int, judged: int) -> tuple[Any, Any, list[Any]]:
    """A queue of so many items, the first ones judged by three people; clients of an owner and of an annotator."""
    from django.db import connection
    from django.db.models.functions import Now
    from django.test import Client

    from meds3core.judgements.copying import item_copy
    from meds3core.judgements.flagging import Rule
    from meds3core.judgements.items import StepFacts
    from meds3core.sandbox.questions import generate
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import User
    from webapp.accounts.rules import Role
    from webapp.accounts.services import membership_set, team_create
    from webapp.annotation.filling import NewItem, _row
    from webapp.annotation.filling import _filling as filling_of
    from webapp.annotation.models import Assignment, Judgement, QueueItem
    from webapp.annotation.queues import QueueSettings, queue_create

    people = [User.objects.create(username=f"judge-{number}") for number in range(PEOPLE + 1)]
    team = team_create(actor=SYSTEM, name="Ward", owner=people[0])
    for user in people[1:]:
        membership_set(actor=SYSTEM, team=team, user=user, role=Role.ANNOTATOR)
    settings = QueueSettings(name="Twenty thousand", wanted=PEOPLE, control_share=0.1)
    queue = queue_create(actor=SYSTEM, team=team, settings=settings)
    filling = filling_of(SYSTEM, queue, "sent", "Many", count)
    rng, questions = random.Random(2), generate("train", 500)
    earlier = "The dose is worked out from the weight of the child."
    prefix = ["Let us see.", *(f"{number}. {earlier}" for number in range(3))]
    facts = StepFacts(value=0.4, drop=0.3, right=2, rollouts=5, scores={"One": 0.31, "Two": 0.72})
    for start in range(0, count, 500):
        rows = []
        for number in range(start, min(start + 500, count)):
            copy = item_copy(
                questions[number % len(questions)],
                prefix,
                [f"So it is {number} mg in three doses, as the weight of {number % 90} kg and the table say."],
                siblings=["Another dose is chosen.", "The question is asked again."],
                facts=[facts],
                before=facts,
                siblings_facts=[facts, facts],
                rules=(Rule.DROP,),
            )
            rows.append(_row(queue, filling, NewItem(copy, Rule.DROP, rng.random()), "sent"))
        QueueItem.objects.bulk_create(rows)
    items = list(QueueItem.objects.filter(queue=queue).values_list("pk", flat=True)[:judged])
    for user in people[:PEOPLE]:
        rater = f"user:{user.pk}"
        given = [
            Assignment(
                team=team, item_id=item, queue=queue, annotator=user, rater=rater, rater_name=user.username,
                state="judged", pulled=Now(), judged=Now(), rounds=1, blind_round=1, current_round=1,
            )
            for item in items
        ]  # fmt: skip
        Assignment.objects.bulk_create(given, batch_size=500)
        said = []
        for each in given:
            verdict = rng.choices(("good", "neutral", "bad"), (6, 1, 3))[0]
            words = {"verdict": verdict, "errors": ["arithmetic"] if verdict == "bad" else [], "blind": True}
            where = {"team": team, "assignment": each, "item_id": each.item_id, "queue": queue, "rater": rater}
            said.append(Judgement(**where, **words, client_id=uuid4(), round=1, seconds=rng.uniform(5, 60)))
        Judgement.objects.bulk_create(said, batch_size=500)
    for start in range(0, len(items), 500):
        done = {"taken": PEOPLE, "judged": PEOPLE, "is_free": False, "completed": Now()}
        QueueItem.objects.filter(pk__in=items[start : start + 500]).update(**done)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    clients = []
    for user in (people[0], people[-1]):
        clients.append(Client())
        clients[-1].force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return team, queue, clients


if __name__ == "__main__":
    main()
