"""Pages and searches of a large instance on PostgreSQL: 200 datasets, 1,000,000 questions, 5,000 jobs, 500,000 events.

    python -m tests.benchmarks.bench_pages                 the whole of it, in a throwaway cluster
    python -m tests.benchmarks.bench_pages --scale 0.02    small, to try

Each list page and each search is asked for by a signed-in member, many times with other parameters; time and queries
are those of the whole request in one process, from middleware to the drawn page. The last line is the figures as JSON.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.databases import web_ready

TARGET_MS = 150
TARGET_QUERIES = 15
ROUNDS = 40
DATASETS, QUESTIONS, JOBS, EVENTS = 200, 1_000_000, 5_000, 500_000
LARGEST = 0.2
"""Share of all questions that one dataset has; the others share the rest."""
SMALLEST = 60
_VOCABULARY = (
    "patient woman man years old presents with acute chronic severe mild pain fever cough dyspnea history of diabetes "
    "hypertension asthma pregnancy renal hepatic cardiac failure serum sodium potassium glucose level mmol dose mg kg "
    "daily oral intravenous which following most likely diagnosis treatment next step management finding examination "
    "shows blood pressure heart rate temperature left right upper lower quadrant abdomen chest radiograph infection"
)
WORDS = _VOCABULARY.split()
RARE = ("zolpidem", "pheochromocytoma", "amatoxin")
"""One of these stands in every thousandth question."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        measure(options.scale, options.rounds)
        return
    command = ["-m", "tests.benchmarks.bench_pages", "--inside", "--scale", str(options.scale)]
    command += ["--rounds", str(options.rounds)]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "webapp.config.settings.test"}
    cluster = [sys.executable, "-m", "tests.with_postgres", "--", sys.executable, *command]
    sys.exit(subprocess.run(cluster, env=environment).returncode)


def measure(scale: float, rounds: int) -> None:
    """Fill the database that the environment names, and ask."""
    web_ready()
    from django.conf import settings

    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    started = time.perf_counter()
    seeded = seed(scale)
    print(f"seeded in {time.perf_counter() - started:.0f} s", flush=True)
    figures = {}
    for name, ask in asks(seeded):
        figures[name] = figure(ask, rounds)
        print(f"{name:36} {figures[name]}", flush=True)
    met = all(each["p95_ms"] <= TARGET_MS and each["queries"] <= TARGET_QUERIES for each in figures.values())
    print(json.dumps({"bench": "pages", "scale": scale, "pages": figures, "met": met}))


def figure(ask: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Median and 95th percentile of the time, most queries, and the size of the answer."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    size = len(ask().content)  # templates are compiled and plans cached by the first
    with CaptureQueriesContext(connection) as captured:
        ask()
    queries = len(captured)  # the next request empties the list
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = ask()
        times.append(1000 * (time.perf_counter() - begun))
        assert answer.status_code == 200, answer.status_code
    times.sort()
    return {
        "median_ms": round(times[len(times) // 2], 1),
        "p95_ms": round(times[min(len(times) - 1, int(len(times) * 0.95))], 1),
        "queries": queries,
        "bytes": size,
    }


class Seeded:
    """What was made: a person who is signed in, and things to ask for."""

    def __init__(self, team: Any, client: Any, versions: list[Any], jobs: list[Any], token: str) -> None:
        self.team = team
        self.client = client
        self.versions = versions
        self.largest = versions[0]
        self.jobs = jobs
        self.token = token
        self.random = random.Random(1)


def asks(seeded: Seeded) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every list page and every search, by name."""
    from django.urls import NoReverseMatch, reverse

    slug, client, rng = seeded.team.slug, seeded.client, seeded.random

    def get(name: str, *arguments: Any, **query: Any) -> Callable[[], Any]:
        url = reverse(name, args=arguments)
        return lambda: client.get(url, {key: value() if callable(value) else value for key, value in query.items()})

    def find(version: Any, *texts: str, **more: str) -> Callable[[], Any]:
        url = reverse("question-list", args=[slug, version.pk])
        part = {"HX-Request": "true"}
        return lambda: client.post(url, {"text": rng.choice(texts), **more}, headers=part)

    yield "home", get("home")
    for name in ("dataset-list", "search-list", "training-list", "model-list", "evaluation-list", "job-list"):
        try:
            yield name, get(name, slug)
        except NoReverseMatch:
            continue
    yield "dataset-list, further on", get("dataset-list", slug, before=lambda: rng.choice(seeded.versions).dataset_id)
    yield "job-list, one state", get("job-list", slug, state="failed")
    yield "job-list, one kind", get("job-list", slug, kind="export")
    yield "job-list, further on", get("job-list", slug, before=lambda: rng.choice(seeded.jobs))
    for name, version in (("largest", seeded.largest), ("usual", seeded.versions[1])):
        last = version.questions
        yield f"dataset, {name}", get("dataset", slug, version.dataset_id)
        yield f"version, {name}", get("dataset-version", slug, version.pk)
        browse = ("question-list", slug, version.pk)
        yield f"questions, {name}", get(*browse)
        yield f"questions, {name}, anywhere", get(*browse, after=lambda last=last: rng.randrange(last))
        yield f"questions, {name}, by source", get(*browse, source=lambda: f"Source {rng.randrange(5)}")
        yield f"questions, {name}, by difficulty", get(*browse, difficulty="0.75-1")
        yield f"search, {name}, frequent", find(version, "patient", "serum sodium", "which following")
        yield f"search, {name}, seldom", find(version, *RARE)
        yield f"search, {name}, absent", find(version, "xylophone", "quagga", "not in any text")
        yield f"search, {name}, seldom, by source", find(version, *RARE, source="Source 1")
        yield f"search, {name}, two letters", find(version, "zo", "qq", "mg")
        yield f"question, {name}", get("question", slug, version.pk, 7)
    yield "job with events", get("job", slug, seeded.jobs[0])
    header = {"Authorization": f"Bearer {seeded.token}"}
    for name, path in (
        ("API datasets", f"/api/v1/teams/{slug}/datasets"),
        ("API jobs", f"/api/v1/teams/{slug}/jobs"),
        ("API questions", f"/api/v1/teams/{slug}/dataset-versions/{seeded.largest.pk}/questions"),
    ):
        yield name, lambda path=path: client.get(path, headers=header)


# --- filling -------------------------------------------------------------------------------------------------------


def seed(scale: float) -> Seeded:
    """One team with everything: no other team's rows make its lists shorter."""
    from django.db import connection
    from django.test import Client

    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import User
    from webapp.accounts.rules import Role, actions_of
    from webapp.accounts.services import team_create
    from webapp.accounts.tokens import api_token_create
    from webapp.datasets.models import Dataset, DatasetVersion
    from webapp.datasets.search import index_create, index_drop

    assert connection.vendor == "postgresql", "this is measured on PostgreSQL"
    owner = User.objects.create(username="owner")
    team = team_create(actor=SYSTEM, name="Large", owner=owner)
    count = max(3, round(DATASETS * min(1.0, scale * 10)))
    total = max(SMALLEST * count, round(QUESTIONS * scale))
    sizes = [round(total * LARGEST)] + [max(SMALLEST, round(total * (1 - LARGEST) / (count - 1)))] * (count - 1)
    index_drop(connection)
    versions = []
    for number, size in enumerate(sizes):
        dataset = Dataset.objects.create(team=team, name=f"Dataset {number}", description="Questions of a benchmark")
        version = DatasetVersion.objects.create(
            team=team, dataset=dataset, number=1, ready=True, questions=size, statistics=_statistics(size)
        )
        _questions(version.pk, size)
        versions.append(version)
    index_create(connection)
    jobs = _jobs(team, max(20, round(JOBS * scale)), max(200, round(EVENTS * scale)), versions)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    _, token = api_token_create(
        actor=SYSTEM, user=owner, team=team, name="b", scopes=actions_of(Role.OWNER), lifetime=None
    )
    return Seeded(team, client, versions, jobs, token)


def _questions(version: Any, size: int) -> None:
    """Rows of about 60 words, made by the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO datasets_questionrow
                (version_id, position, question_id, content_hash, folded, source, domain, answer_kind, difficulty,
                 record)
            SELECT %(version)s, i, 'q' || i, md5(text), lower(text), source, domain, 'number', difficulty,
                jsonb_build_object('id', 'q' || i, 'text', text, 'source', source, 'domain', domain,
                    'difficulty', difficulty, 'has_context', NULL,
                    'answer_format', jsonb_build_object('kind', 'number', 'unit', 'mg', 'relative_tolerance', 0.0,
                        'absolute_tolerance', 0.0),
                    'gold', jsonb_build_object('value', '7 mg', 'aliases', '[]'::jsonb, 'items', '[]'::jsonb))
            FROM (
                SELECT i, 'Source ' || i %% 5 AS source, 'Domain ' || i %% 40 AS domain,
                    CASE WHEN i %% 10 = 0 THEN NULL ELSE (i %% 9) / 8.0 END AS difficulty,
                    (SELECT string_agg((%(words)s::text[])[1 + floor(random() * %(count)s)::int], ' ')
                        FROM generate_series(1, 60) WHERE i >= 0)
                    || CASE WHEN i %% 1000 = 7 THEN ' ' || (%(rare)s::text[])[1 + i / 1000 %% 3] ELSE '' END
                    || ' ' || i AS text
                FROM generate_series(0, %(size)s - 1) AS i
            ) AS made
            """,
            {"version": version, "words": WORDS, "count": len(WORDS), "rare": list(RARE), "size": size},
        )


def _statistics(size: int) -> dict[str, Any]:
    from webapp.datasets.statistics import Statistics

    share = size // 5
    return Statistics(
        questions=size,
        sources={f"Source {number}": share for number in range(5)},
        domains={f"Domain {number}": size // 40 for number in range(40)},
        answer_kinds={"number": size},
        difficulties={"0–0.25": size // 4, "0.75–1": size // 4},
        characters={"min": 300, "25%": 380, "median": 400, "75%": 420, "95%": 440, "99%": 450, "max": 470},
        words={"min": 61, "25%": 61, "median": 61, "75%": 61, "95%": 61, "99%": 62, "max": 62},
        total_characters=400 * size,
    ).model_dump(mode="json")


def _jobs(team: Any, count: int, events: int, versions: list[Any]) -> list[Any]:
    """Jobs in all states that name datasets; their ids, the one with most events first."""
    from django.db import connection
    from django.utils import timezone

    from webapp.jobs.models import Job, JobInput, State

    rng = random.Random(2)
    thing = {"id": str(versions[0].pk)}
    questions, policy = thing | {"kind": "dataset"}, thing | {"kind": "model"}
    specs: dict[str, dict[str, Any]] = {
        "import": {"upload": thing | {"kind": "upload"}, "name": "Dataset"},
        "search": {"questions": questions, "policy": policy},
        "export": {"what": questions},
        "curriculum": {"questions": [questions]},
        "sft": {"policy": policy, "labels": thing | {"kind": "labels"}},
        "evaluation": {"questions": questions, "policy": policy},
    }
    states = (State.SUCCEEDED,) * 8 + (State.FAILED, State.CANCELLED)
    now = timezone.now()
    made = [
        Job(
            team=team,
            kind=(kind := rng.choice(sorted(specs))),
            title=f"Job {number}",
            spec={"kind": kind} | specs[kind],
            spec_hash="0",
            queue="cpu",
            state=rng.choice(states) if number < count - 20 else State.QUEUED,
            started=now,
            ended=now if number < count - 20 else None,
            next_seq=events // count + 1,
        )
        for number in range(count)
    ]
    Job.objects.bulk_create(made, batch_size=1000)
    JobInput.objects.bulk_create(
        [JobInput(job=job, kind="dataset", thing=rng.choice(versions).pk) for job in made], batch_size=1000
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO jobs_jobevent (job_id, seq, at, attempt, kind, text, data)
            SELECT id, seq, now(), 1, CASE WHEN seq %% 10 = 0 THEN 'stage' ELSE 'progress' END, 'Step ' || seq,
                jsonb_build_object('done', seq, 'total', 100)
            FROM jobs_job, generate_series(1, %s) AS seq WHERE team_id = %s
            """,
            [events // count, team.pk],
        )
    return [job.pk for job in made]


if __name__ == "__main__":
    main()
