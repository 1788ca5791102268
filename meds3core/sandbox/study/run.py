"""Runs the study part by part: the first seed's loop, the kinds of labels on it, the best of them, the other seeds.

Stages do the work and are kept, so an interrupted study continues, and a raised number adds only what is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from meds3core.data.write import atomic_text
from meds3core.evolution.estimate import estimate, wall_time
from meds3core.evolution.graph import PlannedStage, Stage, plan
from meds3core.evolution.run import run_graph
from meds3core.evolution.store import read_record
from meds3core.progress import CancelToken, ProgressSink
from meds3core.sandbox.study.charts import write_charts
from meds3core.sandbox.study.compared import Kept, best_variants
from meds3core.sandbox.study.config import LabelVariant, StudyConfig
from meds3core.sandbox.study.graph import SeedGraph, seed_graph
from meds3core.sandbox.study.page import write_page
from meds3core.sandbox.study.questions import StudyFiles, write_study_questions
from meds3core.sandbox.study.result import Results, StudyResult, collect, read_reward

RESULTS, HTML = "results.json", "results.html"


@dataclass(frozen=True)
class Part:
    """Some of the study's stages, run together with all that they depend on."""

    title: str
    stages: tuple[Stage, ...]
    """Those of the earlier parts too."""
    loops: int
    """Seeds whose loops are done after it."""
    kept: Kept | None = None
    finished: bool = False


@dataclass(frozen=True)
class PartPlan:
    """A part that is about to run."""

    title: str
    planned: dict[str, PlannedStage]
    left: float
    """Expected seconds of this part and of all that come after it."""


@dataclass(frozen=True)
class PartCost:
    """What a part still takes: stages, their seconds in all, and the seconds that pass."""

    title: str
    stages: int
    work: float
    wall: float


Show = Callable[[PartPlan], AbstractContextManager[ProgressSink]]
"""Shows a part while it runs; gives the sink for its events."""


@dataclass(frozen=True)
class Places:
    """Where a study writes. `page`: the Markdown page; its JSON goes beside it."""

    out: Path
    store: Path
    page: Path


class Study:
    """A study with its questions written and its seeds' graphs made; nothing has run."""

    def __init__(
        self, config: StudyConfig, policy: Path, places: Places, *, parallel: int = 1, threads: int = 1
    ) -> None:
        self.config, self.places = config, places
        self.parallel, self.threads = parallel, threads
        self.files: StudyFiles = write_study_questions(config, places.out / "questions", policy)
        self.graphs: list[SeedGraph] = [seed_graph(config, self.files, seed) for seed in config.seeds]

    def parts(self) -> Iterator[Part]:
        """The parts in order. What follows the second one depends on its result; until then on a guess."""
        first, last = self.graphs[0], len(self.graphs)
        stages = list(first.stages)
        yield Part(f"seed {first.seed}: the loop and its samples", tuple(stages), 1)
        stages += self._grid_stages()
        yield Part(f"seed {first.seed}: {len(self.config.variants)} ways to label steps", tuple(stages), 1)
        kept = self._kept()
        stages += self._best_stages(first, kept)
        yield Part(f"seed {first.seed}: the best labels, tree search", tuple(stages), 1, kept, last == 1)
        for number, graph in enumerate(self.graphs[1:], start=2):
            stages += [*graph.stages, *self._best_stages(graph, kept)]
            title = f"seed {graph.seed}: loop, samples, best labels, tree search"
            yield Part(title, tuple(stages), number, kept, number == last)

    def run(self, show: Show, cancel: CancelToken | None = None) -> StudyResult:
        """Run what is missing, and write the pages after every part. Raises what `run_graph` raises."""
        result: StudyResult | None = None
        for part in self.parts():
            stages = _unique(part.stages)
            with show(PartPlan(part.title, plan(stages), self.seconds_left())) as sink:
                results = run_graph(
                    stages,
                    self.places.store,
                    parallel=self.parallel,
                    threads=self.threads,
                    sink=sink,
                    cancel=cancel,
                )
            result = self._collect(part, results)
            self._write(result)
        assert result is not None
        return result

    def costs(self) -> list[PartCost]:
        """What every part still takes."""
        found, done = [], set[str]()
        for part in self.parts():
            planned = plan(_unique(part.stages))
            finished = {name for name, entry in planned.items() if entry.key in done or self._is_finished(entry)}
            seconds = estimate(planned, finished, self.places.store)
            found.append(
                PartCost(
                    title=part.title,
                    stages=len(planned.keys() - finished),
                    work=sum(seconds.values()),
                    wall=wall_time(planned, seconds, self.parallel),
                )
            )
            done |= {entry.key for entry in planned.values()}
        return found

    def seconds_left(self) -> float:
        """Expected wall time of all that is missing; parts run one after the other."""
        return sum(cost.wall for cost in self.costs())

    def _grid_stages(self) -> list[Stage]:
        config, first = self.config, self.graphs[0]
        return list(chain.from_iterable(first.reward_stages(each, config.grid_questions) for each in config.variants))

    def _best_stages(self, graph: SeedGraph, kept: Kept) -> list[Stage]:
        """Every kept kind on all held-out questions, and tree search with the best for selection."""
        rewards = chain.from_iterable(graph.reward_stages(variant, None) for variant in kept.variants)
        return [*rewards, *graph.tree_stages(kept.selection), *graph.headroom_stages(kept.selection)]

    def _kept(self) -> Kept:
        """By the first seed's validation questions; as many as would be kept, the first ones, until these are known."""
        config, first = self.config, self.graphs[0]
        planned = plan(_unique([*first.stages, *self._grid_stages()]))
        measured = {each: planned[first.reward_stage(each, config.grid_questions)] for each in config.variants}
        if all(self._is_finished(entry) for entry in measured.values()):
            store = self.places.store
            return best_variants(
                config, {each: [read_reward(store / entry.folder)] for each, entry in measured.items()}
            )
        by_kind: dict[str, LabelVariant] = {}
        for each in config.variants:
            by_kind.setdefault(each.kind, each)
        guess = tuple(by_kind.values())[: config.kept + len(config.always)]
        return Kept(variants=guess, selection=guess[0], finding=guess[0])

    def _is_finished(self, entry: PlannedStage) -> bool:
        return read_record(self.places.store, entry.folder, entry.key) is not None

    def _collect(self, part: Part, results: Results) -> StudyResult:
        return collect(
            self.config,
            self.graphs[: part.loops],
            results,
            grid=self.config.variants,
            kept=part.kept,
            finished=part.finished,
        )

    def _write(self, result: StudyResult) -> None:
        places = self.places
        for folder in (places.out, places.page.parent):
            folder.mkdir(parents=True, exist_ok=True)
        text = result.model_dump_json(indent=1) + "\n"
        for path in (places.out / RESULTS, places.page.with_suffix(".json")):
            with atomic_text(path) as file:
                file.write(text)
        write_charts(result, places.out / HTML)
        write_page(result, places.page)


def _unique(stages: Sequence[Stage]) -> list[Stage]:
    """Stages of one name once: a variant that is kept was in the grid."""
    return list({stage.name: stage for stage in stages}.values())
