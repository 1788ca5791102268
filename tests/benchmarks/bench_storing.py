"""How fast finished trees reach the database: `python -m tests.benchmarks.bench_storing` prints one line of JSON.

Synthetic trees of 60 nodes, each stored as a worker stores it: one transaction with its nodes, its compressed arena and
its question's state. On SQLite, and on a throwaway PostgreSQL where there is one. Nodes per second of one worker.
"""

import argparse
import json
import time

from tests.benchmarks.bench_labels import NODES, synthetic_tree
from tests.benchmarks.databases import on_both

WANTED = {"sqlite": 3000, "postgresql": 5000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--here", action="store_true", help="measure on the database of the environment, by itself")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.trees)))
        return
    figures = on_both("tests.benchmarks.bench_storing", "--here", "--trees", str(options.trees))
    print(json.dumps({name: found | {"wanted": WANTED[name]} for name, found in figures.items()}))


def measure(count: int) -> dict[str, float]:
    """Nodes and trees a second on this database, and the longest of the transactions' times."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import User
    from webapp.accounts.services import team_create
    from webapp.jobs.models import Job, State
    from webapp.trees.models import SearchQuestion
    from webapp.trees.services import tree_store

    team = team_create(actor=SYSTEM, name="Bench", owner=User.objects.create(username="bench"))
    job = Job.objects.create(team=team, kind="search", spec={}, state=State.RUNNING, attempt=1)
    SearchQuestion.objects.bulk_create(
        SearchQuestion(job=job, position=at, state=SearchQuestion.State.GROWING, shard=job, attempt=1)
        for at in range(count)
    )
    trees = [synthetic_tree(number) for number in range(count)]
    times = []
    begun = time.perf_counter()
    for position, tree in enumerate(trees):
        before = time.perf_counter()
        tree_store(job_id=job.pk, attempt=1, position=position, tree=tree)
        times.append(time.perf_counter() - before)
    seconds = time.perf_counter() - begun
    nodes = sum(len(tree.nodes) for tree in trees)
    times.sort()
    return {
        "trees": count,
        "nodes_each": NODES + 1,
        "nodes_per_s": nodes / seconds,
        "trees_per_s": count / seconds,
        "p99_ms": 1000 * times[int(0.99 * (count - 1))],
    }


if __name__ == "__main__":
    main()
