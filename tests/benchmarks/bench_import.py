"""Import of a question file, as a job does it: rows a second and memory, on a fresh SQLite and a fresh PostgreSQL.

    python -m tests.benchmarks.bench_import [--rows 100000]

The file is read by the limited process, checked, stored in fenced batches and counted; uploading and the worker's
start are left out. The last line is JSON.
"""

import argparse
import gc
import io
import json
import os
import time
from typing import Any

import psutil

from tests.benchmarks.databases import on_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--here", action="store_true", help="measure on the database of the environment, by itself")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(_measured(options.rows)))
    else:
        print(json.dumps(on_both("tests.benchmarks.bench_import", "--here", "--rows", str(options.rows))))


def question_lines(rows: int) -> bytes:
    """Published records of about the length of a MedQA question."""
    case = "A 54-year-old man comes to the physician because of chest pain for the past two hours. " * 8
    lines = []
    for row in range(rows):
        text = f"Case {row}. {case}Which drug?\nA. Aspirin\nB. Heparin\nC. Morphine\nD. Nitrate\nE. None"
        turns = [{"from": "human", "value": text}]
        record = {"id": row, "conversations": turns, "eval": {"answer": "ABCDE"[row % 5]}, "dataset": "MedQA"}
        lines.append(json.dumps(record))
    return ("\n".join(lines) + "\n").encode()


def _measured(rows: int) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    from tests.workers.attempts import claimed, context_of
    from tests.workers.people import operator, team
    from webapp.datasets import services as datasets
    from webapp.uploads.importing import import_submit
    from webapp.uploads.services import AnnouncedFile, chunk_store, upload_complete, upload_create
    from workers.kinds import import_file
    from workers.runners import runner_for

    content = question_lines(rows)
    files = [AnnouncedFile("bench.jsonl", len(content))]
    upload = upload_create(actor=operator(), team=team("Bench"), purpose="dataset", files=files)
    file = upload.files.get()
    for at in range(0, len(content), 8 << 20):
        chunk_store(file=file, offset=at, content=io.BytesIO(content[at : at + (8 << 20)]))
    upload_complete(actor=operator(), upload=upload)
    size = len(content)
    del content
    job = _quietly(lambda: import_submit(actor=operator(), upload=upload))
    claim = claimed(job)
    writes: list[float] = []
    memory: list[int] = []
    append, process = import_file.version_append, psutil.Process()

    def timed(**all_: Any) -> None:
        begun = time.perf_counter()
        append(**all_)
        writes.append(time.perf_counter() - begun)
        memory.append(sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]))

    import_file.version_append = timed
    counted: list[float] = []
    finish = import_file.version_finish

    def finished(**all_: Any) -> Any:
        begun = time.perf_counter()
        made = finish(**all_)
        counted.append(time.perf_counter() - begun)
        return made

    import_file.version_finish = finished
    gc.collect()
    gc.freeze()  # as workers.run does
    begun, used = time.perf_counter(), os.times()
    result = runner_for("import")(context_of(job, claim))
    seconds, after = time.perf_counter() - begun, os.times()
    assert result["questions"] == rows, result
    writes.sort()
    quarter = len(memory) // 4
    return {
        "database": connection.vendor,
        "rows": rows,
        "megabytes": round(size / 1e6, 1),
        "seconds": round(seconds, 2),
        "rows_a_second": round(rows / seconds),
        "rows_a_second_without_counting": round(rows / (seconds - sum(counted))),
        "cpu_seconds_storing": round(after.user + after.system - used.user - used.system, 2),
        "cpu_seconds_reading": round(
            after.children_user + after.children_system - used.children_user - used.children_system, 2
        ),
        "batch": datasets.BATCH,
        "write_p95_ms": round(writes[int(len(writes) * 0.95)] * 1000, 1),
        "memory_mb": round(max(memory) / 1e6),
        "memory_growth_mb": round((max(memory[-quarter:]) - max(memory[quarter : 2 * quarter])) / 1e6, 1),
    }


def _quietly(act: Any) -> Any:
    """Without a queue to ring: the job is claimed by hand."""
    from webapp.jobs.dispatch import QueueUnreachable
    from webapp.jobs.models import Job

    try:
        return act()
    except QueueUnreachable:
        return Job.objects.get(kind="import")


if __name__ == "__main__":
    main()
