"""Runs the loop and leaves its results where a person finds them; the stages themselves lie in the store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from meds3core.config.evolution import EvolutionConfig
from meds3core.data.write import atomic_text
from meds3core.evolution.loop import BASE, FINAL_REPORT, EvolutionInputs, evolution_graph
from meds3core.evolution.run import StageResult, run_graph
from meds3core.evolution.stages.report import PAGE, RESULT, EvolutionResult
from meds3core.progress import CancelToken, ProgressSink
from meds3core.types.record import Record

CARD = "evolution.json"


class StageLine(Record):
    """A stage as the loop's own file lists it."""

    name: str
    kind: str
    folder: str = Field(description="In the store")
    seconds: float
    processor_seconds: float
    figures: dict[str, Any]


_LINE = {"kind", "seconds", "processor_seconds", "figures"}


class EvolutionCard(Record):
    """What a loop was run with and where its parts lie: `evolution.json`."""

    format: str = "meds3-evolution-run/1"
    config: EvolutionConfig
    store: str
    final: str
    stages: tuple[StageLine, ...]


@dataclass(frozen=True)
class Evolved:
    """A finished loop: its figures, and where everything lies."""

    result: EvolutionResult
    stages: dict[str, StageResult]
    final_policy: Path
    prm: Path | None
    page: Path


def evolve(
    config: EvolutionConfig,
    inputs: EvolutionInputs,
    out: Path,
    *,
    store: Path | None = None,
    parallel: int = 1,
    threads: int = 1,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> Evolved:
    """Run the loop, or what is missing of it; `out` then holds `result.json`, `report.html` and `evolution.json`.

    `store` holds the stages, by default in `out`; several loops may share one, and then share equal stages. The result
    file is the same for the same configuration and inputs, however often the loop was interrupted. Raises what
    `run_graph` raises.
    """
    store = store or out / "stages"
    graph = evolution_graph(config, inputs)
    results = run_graph(graph.stages, store, parallel=parallel, threads=threads, sink=sink, cancel=cancel)
    report, prm = results[FINAL_REPORT].folder, f"prm-{config.iterations}"
    out.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, PAGE):
        with atomic_text(out / name) as file:
            file.write((report / name).read_text(encoding="utf-8"))
    card = EvolutionCard(
        config=config,
        store=os.path.relpath(store, out),
        final=graph.final,
        stages=tuple(
            StageLine(name=name, folder=one.folder.name, **one.model_dump(include=_LINE))
            for name, one in results.items()
        ),
    )
    with atomic_text(out / CARD) as file:
        file.write(card.model_dump_json(indent=1) + "\n")
    return Evolved(
        result=EvolutionResult.model_validate_json((report / RESULT).read_bytes()),
        stages=results,
        final_policy=inputs.policy if graph.final == BASE else results[graph.final].folder / graph.final,
        prm=results[prm].folder / prm if prm in results else None,
        page=out / PAGE,
    )
