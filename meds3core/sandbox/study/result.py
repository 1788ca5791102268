"""What the study found, as records: from the folders of finished stages to figures with intervals over all seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import LEVEL, Estimate, Method
from meds3core.evaluation.paired import SeedDifferences, paired_over_seeds
from meds3core.evaluation.record import Response, read_evaluation
from meds3core.evaluation.stages import StageFigures, StageOutcomes, stage_figures
from meds3core.evaluation.steps import StepFigures
from meds3core.evolution.loop import BASE
from meds3core.evolution.run import StageResult
from meds3core.evolution.stages.evaluate import EVALUATION
from meds3core.sandbox.study.compared import Compared, DualClaim, Kept, Measured, compared, dual_claims
from meds3core.sandbox.study.config import LabelVariant, StudyConfig
from meds3core.sandbox.study.graph import FINAL, SeedGraph
from meds3core.sandbox.study.headroom import HeadroomFigures, HeadroomStudy, headroom_study
from meds3core.sandbox.study.reward import FIGURES, RewardFigures
from meds3core.sandbox.study.tree import TreeFigures
from meds3core.types.record import Record

RESULTS_FORMAT = "meds3-study/1"

Results = Mapping[str, StageResult]


class AtSamples(Record):
    """The PRM strategy against self-consistency with n samples, averaged over seeds."""

    n: int
    difference: SeedDifferences = Field(description="Strategy minus self-consistency")
    oracle: float = Field(description="Share of questions with a right answer among the n")


class AreaFigure(Record):
    """Area under the ROC curve for wrong steps, averaged over seeds."""

    truth: str
    scope: str
    mean: Estimate | None
    seeds: tuple[float | None, ...]


class RewardLine(Record):
    """A kind of labels on one policy's samples."""

    variant: LabelVariant
    policy: str
    strategies: tuple[str, ...] = Field(description="Chosen on validation questions, by seed")
    by_n: tuple[AtSamples, ...]
    areas: tuple[AreaFigure, ...]
    steps: tuple[StepFigures, ...] = Field(description="With the thresholds chosen on validation, by seed")

    @property
    def last(self) -> AtSamples:
        """With the most samples."""
        return max(self.by_n, key=lambda each: each.n)

    def area(self, truth: str, scope: str) -> AreaFigure:
        """One of the four."""
        return next(each for each in self.areas if (each.truth, each.scope) == (truth, scope))


class LabelStudy(Record):
    """Kinds of labels under equal conditions."""

    questions: int
    runs: int
    lines: tuple[RewardLine, ...]
    selection: Compared
    finding: Compared
    claims: tuple[DualClaim, ...]


class TreeRival(Record):
    """A strategy for as many tokens as the tree search took."""

    role: str
    names: tuple[str, ...]
    n: tuple[int, ...] = Field(description="By seed")
    enough: bool = Field(description="Whether as many samples as were affordable had been drawn, on every seed")
    tokens: float
    difference: SeedDifferences = Field(description="Tree search minus this")


class TreeStudy(Record):
    """Tree search at inference."""

    questions: int
    tokens: float
    nodes: float
    rivals: tuple[TreeRival, ...]


class LoopNumbers(Record):
    """What a loop's stages held: by stage, the figures that explain gains or their absence."""

    seed: int
    figures: dict[str, dict[str, Any]]


class KindSeconds(Record):
    """Seconds of all stages of a kind."""

    kind: str
    stages: int
    seconds: float
    processor_seconds: float


class StudyResult(Record):
    """Everything the page is written from."""

    format: str = RESULTS_FORMAT
    config: StudyConfig
    seeds: tuple[int, ...]
    finished: bool = Field(description="Whether all parts of the study for these seeds are done")
    final: str = Field(description="What the loop calls its last policy")
    stages: tuple[StageFigures, ...]
    against_first: tuple[tuple[str, SeedDifferences], ...] = Field(
        description="Later policies against SFT of iteration 1: name, greedy"
    )
    grid: LabelStudy | None = None
    chosen: Kept | None = Field(default=None, description="By the first seed's validation questions")
    kept: LabelStudy | None = None
    tree: TreeStudy | None = None
    headroom: HeadroomStudy | None = None
    loops: tuple[LoopNumbers, ...] = ()
    seconds: tuple[KindSeconds, ...] = ()


def collect(
    config: StudyConfig,
    graphs: Sequence[SeedGraph],
    results: Results,
    *,
    grid: Sequence[LabelVariant] = (),
    kept: Kept | None = None,
    finished: bool,
) -> StudyResult:
    """From finished stages; `graphs` are those of the seeds whose loops are done, in order.

    `grid`: variants measured on the first seed; `kept`: those measured on all held-out questions of every seed.
    """
    outcomes = _outcomes(graphs, results)
    by_name = {each.name: each for each in outcomes}
    figures = stage_figures(outcomes, BASE)
    first = by_name.get("sft-1")
    later = [each for each in outcomes if first is not None and _follows(each, "sft-1", by_name)]
    grid_figures = {
        each: [read_reward(results[graphs[0].reward_stage(each, config.grid_questions)].folder)]
        for each in grid
        if graphs[0].reward_stage(each, config.grid_questions) in results
    }
    kept_figures = {
        each: [read_reward(results[graph.reward_stage(each, None)].folder) for graph in graphs]
        for each in (kept.variants if kept else ())
        if all(graph.reward_stage(each, None) in results for graph in graphs)
    }
    return StudyResult(
        config=config,
        seeds=tuple(graph.seed for graph in graphs),
        finished=finished,
        final=graphs[0].loop.final,
        stages=figures,
        against_first=tuple(
            (each.name, paired_over_seeds(first.right, each.right)) for each in later if first is not None
        ),
        grid=label_study(grid_figures) if grid_figures else None,
        chosen=kept,
        kept=label_study(kept_figures) if kept_figures else None,
        tree=_tree(graphs, results),
        headroom=_headroom(graphs, results, kept.selection) if kept else None,
        loops=tuple(_numbers(graph, results) for graph in graphs),
        seconds=_seconds(results),
    )


def label_study(measured: Measured) -> LabelStudy:
    """All lines, and which kind is best for what."""
    first = next(iter(measured.values()))
    return LabelStudy(
        questions=len(first[0].of(BASE).question_ids),
        runs=len(first),
        lines=tuple(
            reward_line(variant, policy, runs) for variant, runs in measured.items() for policy in (BASE, FINAL)
        ),
        selection=compared("selection", measured),
        finding=compared("finding", measured),
        claims=dual_claims(measured),
    )


def reward_line(variant: LabelVariant, policy: str, runs: Sequence[RewardFigures]) -> RewardLine:
    """One variant on one policy, over all seeds."""
    found = [run.of(policy) for run in runs]
    ids = found[0].question_ids
    by_n = []
    for at in found[0].by_n:
        consensus = [dict(zip(one.question_ids, one.at(at.n).consensus, strict=True)) for one in found]
        chosen = [dict(zip(one.question_ids, one.at(at.n).chosen, strict=True)) for one in found]
        oracle = float(np.mean([one.at(at.n).oracle for one in found]))
        by_n.append(AtSamples(n=at.n, difference=paired_over_seeds(consensus, chosen), oracle=oracle))
    return RewardLine(
        variant=variant,
        policy=policy,
        strategies=tuple(f"{one.choice.strategy} {one.choice.aggregator}" for one in found),
        by_n=tuple(by_n),
        areas=tuple(
            AreaFigure(
                truth=area.truth,
                scope=area.scope,
                mean=mean_of_draws(
                    [one.area(area.truth, area.scope).value for one in found],
                    [one.area(area.truth, area.scope).draws for one in found],
                    len(ids),
                ),
                seeds=tuple(one.area(area.truth, area.scope).value for one in found),
            )
            for area in found[0].areas
        ),
        steps=tuple(one.found for one in found),
    )


def mean_of_draws(
    values: Sequence[float | None], draws: Sequence[Sequence[float]], n: int, method: Method = "cluster-bootstrap"
) -> Estimate | None:
    """The mean of several runs' statistics; draw i of every run belongs to the same resample of the questions."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    value = float(np.mean(known))
    means = np.mean([list(each) for each in draws], axis=0)
    low, high = np.percentile(means, [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), n=n, method=method)


def _outcomes(graphs: Sequence[SeedGraph], results: Results) -> list[StageOutcomes]:
    """Greedy answers of every policy, one run per seed; the base's answers have no seed."""
    found = []
    for policy in graphs[0].loop.policies:
        runs = graphs[:1] if policy.name == BASE else graphs
        rights, sounds = [], []
        for graph in runs:
            stored = read_evaluation(results[f"{graph.prefix}evaluation-{policy.name}"].folder / EVALUATION)
            greedy = {row.question.id: row.greedy for row in stored.rows if row.greedy is not None}
            rights.append({name: float(response.correct is True) for name, response in greedy.items()})
            sounds.append({name: _sound(response) for name, response in greedy.items()})
        found.append(
            StageOutcomes(
                name=policy.name,
                after=policy.after,
                description=policy.description,
                right=tuple(rights),
                sound=tuple(sounds),
            )
        )
    return found


def _sound(response: Response) -> float:
    return float(response.sound is True)


def _follows(stage: StageOutcomes, ancestor: str, by_name: Mapping[str, StageOutcomes]) -> bool:
    parent = stage.after
    while parent and parent != ancestor:
        parent = by_name[parent].after
    return bool(parent)


def read_reward(folder: Path) -> RewardFigures:
    """What a finished `reward` stage measured."""
    return RewardFigures.model_validate_json((folder / FIGURES).read_bytes())


def _tree(graphs: Sequence[SeedGraph], results: Results) -> TreeStudy | None:
    if not all(graph.tree_stage in results for graph in graphs):
        return None
    runs = [
        TreeFigures.model_validate_json((results[graph.tree_stage].folder / FIGURES).read_bytes()) for graph in graphs
    ]
    return tree_study(runs)


def tree_study(runs: Sequence[TreeFigures]) -> TreeStudy:
    """Over seeds; every run has the same roles of rivals."""
    trees = [dict(zip(run.question_ids, run.right, strict=True)) for run in runs]
    rivals = []
    for place, first in enumerate(runs[0].rivals):
        mine = [run.rivals[place] for run in runs]
        theirs = [dict(zip(run.question_ids, each.right, strict=True)) for run, each in zip(runs, mine, strict=True)]
        rivals.append(
            TreeRival(
                role=first.role,
                names=tuple(dict.fromkeys(each.name for each in mine)),
                n=tuple(each.n for each in mine),
                enough=all(each.affordable < each.n + 1 for each in mine),
                tokens=float(np.mean([each.tokens for each in mine])),
                difference=paired_over_seeds(theirs, trees),
            )
        )
    return TreeStudy(
        questions=len(runs[0].question_ids),
        tokens=float(np.mean([run.tokens for run in runs])),
        nodes=float(np.mean([run.nodes for run in runs])),
        rivals=tuple(rivals),
    )


def _headroom(graphs: Sequence[SeedGraph], results: Results, variant: LabelVariant) -> HeadroomStudy | None:
    if not all(graph.headroom_stage in results for graph in graphs):
        return None
    folders = [results[graph.headroom_stage].folder for graph in graphs]
    return headroom_study(
        variant, [HeadroomFigures.model_validate_json((folder / FIGURES).read_bytes()) for folder in folders]
    )


_TELLING = ("merge", "labels", "control", "curriculum", "sft", "dpo")


def _numbers(graph: SeedGraph, results: Results) -> LoopNumbers:
    own = {stage.name for stage in graph.stages if stage.kind.name in _TELLING}
    return LoopNumbers(
        seed=graph.seed,
        figures={name.removeprefix(graph.prefix): result.figures for name, result in results.items() if name in own},
    )


def _seconds(results: Results) -> tuple[KindSeconds, ...]:
    """By kind, each folder once: equal stages of two seeds are one."""
    distinct = {result.key: result for result in results.values()}.values()
    found = []
    for kind in dict.fromkeys(result.kind for result in distinct):
        mine = [result for result in distinct if result.kind == kind]
        found.append(
            KindSeconds(
                kind=kind,
                stages=len(mine),
                seconds=round(sum(result.seconds for result in mine), 1),
                processor_seconds=round(sum(result.processor_seconds for result in mine), 1),
            )
        )
    return tuple(sorted(found, key=lambda each: -each.seconds))
