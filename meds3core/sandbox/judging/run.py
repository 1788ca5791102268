"""Runs the experiment as stages that are kept, and writes what it found: stopped anywhere, the same call continues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from meds3core.data.write import atomic_text, write_questions
from meds3core.decoding.samples import SampleSet, read_samples
from meds3core.decoding.scores import read_scores
from meds3core.evaluation.judging import ClinicJudge, RememberedJudge, StepJudge, TruthKind
from meds3core.evaluation.ranking import f1
from meds3core.evaluation.steps import (
    FlagThresholds,
    JudgedTrajectory,
    Scope,
    choose_thresholds,
    judged_trajectories,
    step_table,
)
from meds3core.evaluation.steps_paired import PairedSteps, paired_sides, step_side
from meds3core.evolution.estimate import estimate, wall_time
from meds3core.evolution.graph import External, PlannedStage, Stage, StageRef, plan
from meds3core.evolution.run import StageResult, run_graph
from meds3core.evolution.stages.labels import LABEL, LABELS, LabelStage
from meds3core.evolution.stages.sample import SAMPLE, SampleStage
from meds3core.evolution.stages.score import SCORE, SCORE_TREES, TREE_SCORES, ScoreStage, TreeScoreStage
from meds3core.evolution.stages.search import SEARCH, SearchStage
from meds3core.evolution.stages.train import TRAIN, TrainStage
from meds3core.evolution.store import RECORD, read_record
from meds3core.progress import CancelToken, ProgressSink
from meds3core.sandbox.judging.config import NONE, RULES, Arm, JudgingConfig
from meds3core.sandbox.judging.stages import JUDGE, PEOPLE, JudgeStage, PeopleTrainStage
from meds3core.sandbox.questions import generate
from meds3core.sandbox.study.questions import validation_questions
from meds3core.search.run import TREES
from meds3core.types.record import Record
from meds3core.types.samples import QuestionScores

RESULTS = "judging.json"
TRUTHS: tuple[TruthKind, ...] = ("given-prefix", "absolute")
"""The first one is what judgements are about."""
SCOPES: tuple[Scope, ...] = ("all", "right-answers")


class Judged(Record):
    """What was chosen and said in one arm, over seeds."""

    arm: Arm
    judged: tuple[int, ...]
    bad: tuple[int, ...]
    changed: tuple[int, ...] = Field(description="Steps whose rollouts' label was another one")
    information: tuple[float, ...] = Field(description="Mean expected bits of an answer")


class Comparison(Record):
    """Reward models of one arm against those of another, on the same held-out trajectories."""

    before: str
    after: str
    figures: tuple[PairedSteps, ...] = Field(description="By truth and scope")
    seeds: tuple[float, ...] = Field(description="Change of F1 given the steps before, of each seed by itself")

    def of(self, truth: TruthKind, scope: Scope = "all") -> PairedSteps:
        """One of them."""
        return next(each for each in self.figures if (each.truth, each.scope) == (truth, scope))


class JudgingResult(Record):
    """What the experiment found."""

    config: JudgingConfig
    judged: tuple[Judged, ...]
    comparisons: tuple[Comparison, ...]
    seconds: float = Field(description="Of all stages together")


@dataclass(frozen=True)
class Files:
    """Where the questions lie; training questions by seed."""

    held_out: Path
    validation: Path
    training: Mapping[int, Path]


class Judging:
    """The experiment with its questions written and its graph made; nothing has run."""

    def __init__(
        self,
        config: JudgingConfig,
        policy: Path,
        out: Path,
        *,
        store: Path | None = None,
        parallel: int = 1,
        threads: int = 1,
    ) -> None:
        self.config, self.out, self.store = config, out, store or out / "stages"
        self.parallel, self.threads = parallel, threads
        self._policy = External(policy)
        self._files = _write_questions(config, out / "questions")
        self.stages: list[Stage] = [*self._samples()]
        for seed in config.seeds:
            self.stages += self._seed(seed)

    def plan(self) -> dict[str, PlannedStage]:
        """All stages with their keys."""
        return plan(self.stages)

    def seconds_left(self) -> float:
        """Expected wall time of what is missing."""
        planned = self.plan()
        done = {name for name, one in planned.items() if read_record(self.store, one.folder, one.key) is not None}
        return wall_time(planned, estimate(planned, done, self.store), self.parallel)

    def run(self, sink: ProgressSink | None = None, cancel: CancelToken | None = None) -> JudgingResult:
        """Run what is missing, and write `judging.json`. Raises what `run_graph` raises."""
        done = run_graph(
            self.stages, self.store, parallel=self.parallel, threads=self.threads, sink=sink, cancel=cancel
        )
        result = self._collect(done)
        with atomic_text(self.out / RESULTS) as file:
            file.write(result.model_dump_json(indent=1) + "\n")
        return result

    # --- the graph -------------------------------------------------------------------------------------------------

    def _samples(self) -> list[Stage]:
        """Answers that nothing learns from, the same for all seeds: what reward models are compared on."""
        config, made = self.config, []
        for name, path, count in (
            ("held-out", self._files.held_out, config.held_out),
            ("validation", self._files.validation, config.validation),
        ):
            settings = SampleStage(sampling=config.sampling, engine=config.engine, seed=0)
            asked = {"questions": External(path), "policy": self._policy}
            made.append(Stage(name, SAMPLE, settings, asked, units=count * config.sampling.n))
        return made

    def _seed(self, seed: int) -> list[Stage]:
        config, policy = self.config, self._policy
        trees, labels, plain = f"trees-{seed}", f"labels-{seed}", f"{NONE}-{seed}"
        training = config.training.model_copy(update={"seed": seed})
        searching = SearchStage(search=config.search, engine=config.engine, seed=seed)
        grown, questions = StageRef(trees, TREES), External(self._files.training[seed])
        made = [
            Stage(trees, SEARCH, searching, {"questions": questions, "policy": policy}, units=config.questions),
            Stage(labels, LABEL, LabelStage(labels=config.labels), {"trees": grown}, units=config.questions),
            Stage(
                plain,
                TRAIN["prm"],
                TrainStage(training=training, model=NONE),
                {"start": policy, "labels": StageRef(labels, LABELS)},
                units=config.questions * 4 * training.epochs,
            ),
            Stage(
                f"scores-{seed}",
                SCORE_TREES,
                TreeScoreStage(scorer=config.scorer),
                {"trees": grown, "model": StageRef(plain, NONE)},
                units=config.questions,
            ),
            *self._scored(seed, NONE),
        ]
        for arm in config.arms:
            chosen = JudgeStage(rules=RULES[arm], items=config.judgements, error_rate=config.error_rate, seed=seed)
            scores = StageRef(f"scores-{seed}", TREE_SCORES)
            made.append(
                Stage(
                    f"judged-{arm}-{seed}",
                    JUDGE,
                    chosen,
                    {"trees": grown, "scores": scores},
                    units=config.judgements,
                )
            )
            made.append(
                Stage(
                    f"{arm}-{seed}",
                    PEOPLE,
                    PeopleTrainStage(training=training, people=config.people, model=arm),
                    {
                        "start": policy,
                        "labels": StageRef(labels, LABELS),
                        "people": StageRef(f"judged-{arm}-{seed}", LABELS),
                        "steps_of": StageRef(plain, RECORD),
                    },
                    units=config.questions * 4 * training.epochs,
                )
            )
            made += self._scored(seed, arm)
        return made

    def _scored(self, seed: int, arm: str) -> list[Stage]:
        """A reward model's scores of the answers."""
        count = self.config.sampling.n
        return [
            Stage(
                f"{name}-{arm}-{seed}",
                SCORE,
                ScoreStage(scorer=self.config.scorer),
                {"samples": StageRef(name), "model": StageRef(f"{arm}-{seed}", arm)},
                units=questions * count,
            )
            for name, questions in (("held-out", self.config.held_out), ("validation", self.config.validation))
        ]

    # --- the figures -----------------------------------------------------------------------------------------------

    def _collect(self, done: Mapping[str, StageResult]) -> JudgingResult:
        config, judge = self.config, RememberedJudge(ClinicJudge())
        samples = {name: read_samples(done[name].folder) for name in ("held-out", "validation")}
        names: list[str] = [NONE, *config.arms]
        told = {
            (role, arm): [_judged(samples[role], done[f"{role}-{arm}-{seed}"].folder, judge) for seed in config.seeds]
            for role in samples
            for arm in names
        }
        cuts = {
            (name, truth): [choose_thresholds(run, truth) for run in told["validation", name]]
            for name in names
            for truth in TRUTHS
        }
        sides = {
            name: [
                step_side(told["held-out", name], truth, scope, cuts[name, truth], resamples=config.resamples)
                for truth in TRUTHS
                for scope in SCOPES
            ]
            for name in names
        }
        single = {
            name: [_f1(run, cut) for run, cut in zip(told["held-out", name], cuts[name, TRUTHS[0]], strict=True)]
            for name in names
        }
        pairs = [(NONE, arm) for arm in config.arms] + [("random", arm) for arm in config.arms if arm != "random"]
        comparisons = [
            Comparison(
                before=before,
                after=after,
                figures=tuple(map(paired_sides, sides[before], sides[after])),
                seeds=tuple(
                    round(second - first, 4) for first, second in zip(single[before], single[after], strict=True)
                ),
            )
            for before, after in pairs
            if before in names
        ]
        return JudgingResult(
            config=config,
            judged=tuple(self._said(done, arm) for arm in config.arms),
            comparisons=tuple(comparisons),
            seconds=round(sum(one.seconds for one in done.values()), 1),
        )

    def _said(self, done: Mapping[str, StageResult], arm: Arm) -> Judged:
        said = [done[f"judged-{arm}-{seed}"].figures for seed in self.config.seeds]
        trained = [done[f"{arm}-{seed}"].figures for seed in self.config.seeds]
        return Judged(
            arm=arm,
            judged=tuple(each["judged"] for each in said),
            bad=tuple(each["bad"] for each in said),
            changed=tuple(each["changed"] for each in trained),
            information=tuple(each["information"] for each in said),
        )


def _judged(samples: SampleSet, folder: Path, judge: StepJudge) -> list[JudgedTrajectory]:
    scores = {row.question_id: row for row in read_scores(folder, samples).rows}
    given: dict[str, QuestionScores] = scores
    return judged_trajectories(samples.rows, given, judge)


def _f1(run: Sequence[JudgedTrajectory], cut: FlagThresholds) -> float:
    """Of wrong steps given the steps before, of one training; 0 where nothing is wrong and nothing flagged."""
    table = step_table(run, TRUTHS[0], "all")
    found = f1(table.scores < cut.steps, table.wrong, table.clusters)(np.ones((1, table.questions)))
    return float(np.nan_to_num(found[0]))


def _write_questions(config: JudgingConfig, folder: Path) -> Files:
    """The same configuration gives the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = generate("test", config.held_out, config.held_out_seed)
    files = Files(
        held_out=folder / "held-out.jsonl",
        validation=folder / "validation.jsonl",
        training={seed: folder / f"training-{seed}.jsonl" for seed in config.seeds},
    )
    write_questions(files.held_out, held_out)
    write_questions(files.validation, validation_questions(held_out, config.validation, config.validation_seed))
    for seed, path in files.training.items():
        write_questions(path, generate("train", config.questions, seed))
    return files
