"""How long a graph will take: from seconds measured in the store, else from first guesses."""

import heapq
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from meds3core.evolution.graph import PlannedStage
from meds3core.evolution.store import RECORD, StageRecord

_LEAST_SECONDS = 0.5
"""A stage's own process is not free."""


def rates(store: Path) -> dict[str, float]:
    """Seconds per unit of each kind, over all stages in the store that ran in one piece."""
    seconds: dict[str, float] = {}
    units: dict[str, float] = {}
    for path in sorted(store.glob(f"*/{RECORD}")):
        try:
            record = StageRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if not record.resumed and record.units > 0:
            seconds[record.kind] = seconds.get(record.kind, 0.0) + record.seconds
            units[record.kind] = units.get(record.kind, 0.0) + record.units
    return {kind: seconds[kind] / units[kind] for kind in seconds}


def estimate(planned: Mapping[str, PlannedStage], finished: Iterable[str], store: Path) -> dict[str, float]:
    """Expected seconds of every stage, by name; 0 for a finished one."""
    done, measured = set(finished), rates(store)
    return {
        name: 0.0
        if name in done
        else max(
            _LEAST_SECONDS, entry.stage.units * measured.get(entry.stage.kind.name, entry.stage.kind.seconds_per_unit)
        )
        for name, entry in planned.items()
    }


def longest_remaining(planned: Mapping[str, PlannedStage], seconds: Mapping[str, float]) -> dict[str, float]:
    """Of every stage: its seconds and those of the longest chain of stages that wait for it."""
    remaining = dict(seconds)
    for name in reversed(list(planned)):  # children before parents
        for parent in planned[name].stage.parents():
            remaining[parent] = max(remaining[parent], seconds[parent] + remaining[name])
    return remaining


def wall_time(planned: Mapping[str, PlannedStage], seconds: Mapping[str, float], parallel: int) -> float:
    """Seconds until the last stage ends when `parallel` run at once, longest remaining chain first."""
    priority = longest_remaining(planned, seconds)
    waiting = {name: len(entry.stage.parents()) for name, entry in planned.items()}
    children: dict[str, list[str]] = {name: [] for name in planned}
    for name, entry in planned.items():
        for parent in entry.stage.parents():
            children[parent].append(name)
    ready = [(-priority[name], name) for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < parallel:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[name], name))
        now, finished = heapq.heappop(running)
        for child in children[finished]:
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(ready, (-priority[child], child))
    return now
