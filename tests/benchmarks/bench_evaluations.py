"""Pages of evaluations on both databases, with 100 evaluations of 2,000 questions and 66 strategies each.

    python -m tests.benchmarks.bench_evaluations
    python -m tests.benchmarks.bench_evaluations --evaluations 6 --questions 200 --rounds 5

Each page is asked for by a signed-in member; time and queries are those of the whole request in one process. A
comparison is computed when it is first asked for (`first_ms`) and read after that. The last line is the figures.
"""

import argparse
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.benchmarks.bench_pages import TARGET_MS, TARGET_QUERIES, figure
from tests.benchmarks.databases import on_both, web_ready

EVALUATIONS, QUESTIONS, ROUNDS = 100, 2_000, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = {name: getattr(options, name) for name in ("evaluations", "questions", "rounds")}
    if options.inside:
        print(json.dumps(measure(**sizes)))
        return
    arguments = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    figures = on_both("tests.benchmarks.bench_evaluations", "--inside", *arguments)
    print(json.dumps({"bench": "evaluations", **sizes, "databases": figures}))


def measure(*, evaluations: int, questions: int, rounds: int) -> dict[str, Any]:
    """Fill the database that the environment names, and ask."""
    web_ready()
    slug, client, shelf = seed(evaluations, questions)
    gc.collect()
    gc.freeze()  # what it took to fill the database is not a web process's
    pages = {}
    for name, ask in asks(slug, client, shelf):
        begun = time.perf_counter()
        ask()
        first = 1000 * (time.perf_counter() - begun)
        pages[name] = {"first_ms": round(first, 1)} | figure(ask, rounds)
    met = all(each["p95_ms"] <= TARGET_MS and each["queries"] <= TARGET_QUERIES for each in pages.values())
    return {"pages": pages, "met": met}


def asks(slug: str, client: Any, shelf: list[Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every page by name."""
    from django.urls import reverse

    first, second = shelf[0], shelf[1]

    def get(name: str, *arguments: Any, **query: Any) -> Callable[[], Any]:
        url = reverse(name, args=[slug, *arguments])
        return lambda: client.get(url, query)

    def find(**wanted: str) -> Callable[[], Any]:
        url = reverse("evaluation-questions", args=[slug, first.pk])
        return lambda: client.post(url, wanted, headers={"HX-Request": "true"})

    yield "matrix", get("evaluation-list")
    yield "matrix, sorted by another strategy", get("evaluation-list", sort="vote-sum last (prm) @6")
    yield "evaluation", get("evaluation", first.pk)
    yield "questions", get("evaluation-questions", first.pk)
    yield "questions, by result", find(way="vote-sum last (prm) @6", result="wrong")
    yield "questions, by disagreement", find(other="vote-sum last (prm) @6", against="differ")
    yield "questions, by text", find(text="xylophone")
    yield "one question", get("evaluation-question", first.pk, 7)
    yield "comparison", get("evaluation-compare", first=first.pk, second=second.pk)
    yield (
        "comparison of two strategies",
        get("evaluation-compare", first=first.pk, second=first.pk, other_by="vote-sum last (prm) @6"),
    )


def seed(evaluations: int, questions: int) -> tuple[str, Any, list[Any]]:
    """Two evaluations stored as a job does it, and copies of these; all of one team and one benchmark."""
    from django.db import connection, transaction
    from django.test import Client

    from tests.core.evaluation import pages
    from tests.evaluations import shelved
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import User
    from webapp.accounts.services import team_create
    from webapp.datasets.services import dataset_from_questions
    from webapp.jobs.dispatch import QueueUnreachable

    owner = User.objects.create(username="owner")
    team = team_create(actor=SYSTEM, name="Large", owner=owner)
    sides = [widened(pages.evaluation(), questions), widened(pages.evaluation("tuned", 0.4), questions)]
    asked = [row.question for row in sides[0].rows]
    version = dataset_from_questions(actor=SYSTEM, team=team, name="Held out", questions=asked)
    with suppress(QueueUnreachable), transaction.atomic():  # no queue to ring: their jobs are ended by hand
        shelf = [shelved(team, stored, version=version, name=f"Policy {n}") for n, stored in enumerate(sides)]
    shelf += [_copied(shelf[number % 2], number) for number in range(2, evaluations)]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return team.slug, client, shelf


def widened(stored: Any, count: int) -> Any:
    """As many questions as wanted: those that there are, again and again, each time another one by its text."""
    rows = []
    for number in range(count):
        row = stored.rows[number % len(stored.rows)]
        text = f"{row.question.text} ({number})"
        question = row.question.model_copy(update={"id": f"q{number}", "text": text})
        rows.append(row.model_copy(update={"question": type(question).model_validate(question.model_dump())}))
    return type(stored)(stored.evaluation.model_copy(update={"questions": count}), tuple(rows))


def _copied(model: Any, number: int) -> Any:
    """Another evaluation with the rows of one, its files being the same on the disk."""
    from webapp.common.files import Store, folder_of
    from webapp.common.models import new_id
    from webapp.evaluations.models import Evaluation, QuestionResult, StrategyResult

    results, answers = list(model.results.all()), list(model.answers.all())
    made = Evaluation.objects.get(pk=model.pk)
    made.pk, made.name, made.stage = new_id(), f"Policy {number}", f"evaluation-{number}"
    made._state.adding = True
    made.save()
    for rows, table in ((results, StrategyResult), (answers, QuestionResult)):
        for row in rows:
            row.pk, row.evaluation_id = None, made.pk
        table.objects.bulk_create(rows, batch_size=1000)
    folder = folder_of(Store.EVALUATIONS, made.pk)
    folder.mkdir(parents=True)
    for path in Path(folder_of(Store.EVALUATIONS, model.pk)).iterdir():
        os.link(path, folder / path.name)
    return made


if __name__ == "__main__":
    main()
