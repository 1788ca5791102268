"""The study as stages: a loop for each seed under a prefix of its own, samples, reward models, tree search.

Keys do not know names, so what two seeds share (the base's greedy answers) is done once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from meds3core.evolution.graph import External, Input, Stage, StageRef
from meds3core.evolution.loop import BASE, EvolutionGraph, EvolutionInputs, evolution_graph
from meds3core.evolution.stages.labels import LABELS, LabelStage
from meds3core.evolution.stages.sample import SAMPLE, SampleStage
from meds3core.evolution.stages.train import TrainStage
from meds3core.evolution.store import RECORD
from meds3core.sandbox.study.config import JUDGED, LabelVariant, StudyConfig
from meds3core.sandbox.study.headroom import HEADROOM, HeadroomStage
from meds3core.sandbox.study.questions import StudyFiles
from meds3core.sandbox.study.reward import REWARD, RewardStage
from meds3core.sandbox.study.tree import EQUAL_TOKENS, TREE_ANSWERS, EqualTokensStage, TreeAnswerStage

FINAL = "final"
"""What the study calls a loop's last policy, whatever trained it."""

_GUESSED_ROLLOUTS = 5
"""Per node: what the loop's first guess of a search's time stands on."""


def prefixed(stages: Iterable[Stage], prefix: str) -> list[Stage]:
    """The same stages under other names; their keys stay."""

    def moved(entry: Input) -> Input:
        return StageRef(prefix + entry.stage, entry.path) if isinstance(entry, StageRef) else entry

    def all_moved(value: Input | tuple[Input, ...]) -> Input | tuple[Input, ...]:
        return tuple(moved(entry) for entry in value) if isinstance(value, tuple) else moved(value)

    return [
        replace(
            stage,
            name=prefix + stage.name,
            inputs={name: all_moved(value) for name, value in stage.inputs.items()},
        )
        for stage in stages
    ]


@dataclass(frozen=True)
class SeedGraph:
    """One seed's loop with the samples of its first and its last policy."""

    config: StudyConfig
    files: StudyFiles
    seed: int
    loop: EvolutionGraph
    stages: tuple[Stage, ...]

    @property
    def prefix(self) -> str:
        """Of its stages' names."""
        return prefix_of(self.seed)

    @property
    def reference(self) -> Stage:
        """The loop's own reward model: where every variant starts from, and how long it trains."""
        return self._stage(f"prm-{self.config.loop.iterations}")

    @property
    def reference_labels(self) -> Stage:
        """The loop's own step labels."""
        labels = self.reference.inputs["labels"]
        assert isinstance(labels, StageRef)
        return next(stage for stage in self.stages if stage.name == labels.stage)

    def policies(self) -> dict[str, Input]:
        """The first and the last policy."""
        final = self.loop.final
        return {BASE: External(self.files.policy), FINAL: StageRef(self.prefix + final, final)}

    def model(self, variant: LabelVariant) -> StageRef:
        """The folder of the reward model that a variant gives."""
        if self._is_reference(variant):
            return _folder(self.reference)
        return StageRef(self.model_stage(variant), variant.name)

    def model_stage(self, variant: LabelVariant) -> str:
        """Name of the stage that trains it."""
        return self.reference.name if self._is_reference(variant) else f"{self.prefix}prm-{variant.name}"

    def reward_stage(self, variant: LabelVariant, limit: int | None) -> str:
        """Name of the stage that measures it on so many held-out questions."""
        return f"{self.prefix}reward-{variant.name}" + (f"-first-{limit}" if limit else "")

    def reward_stages(self, variant: LabelVariant, limit: int | None) -> list[Stage]:
        """Labels and training, unless the loop has them, and measurement.

        Same trees, same policy to start from, same optimiser steps as the loop's own reward model.
        """
        config, made = self.config, []
        if not self._is_reference(variant):
            reference = self.reference
            trained = reference.settings
            assert isinstance(trained, TrainStage)
            labels = f"{self.prefix}steps-{variant.name}"
            made = [
                replace(self.reference_labels, name=labels, settings=self._label_settings(variant)),
                replace(
                    reference,
                    name=self.model_stage(variant),
                    settings=trained.model_copy(update={"model": variant.name}),
                    inputs=dict(reference.inputs)
                    | {"labels": StageRef(labels, LABELS), "steps_of": StageRef(reference.name, RECORD)},
                ),
            ]
        names = tuple(self.policies())
        settings = RewardStage(
            policies=names, limit=limit, ns=config.ns, scorer=config.scorer, resamples=config.resamples
        )
        inputs: dict[str, Input | tuple[Input, ...]] = {
            "model": self.model(variant),
            "samples": tuple(StageRef(f"{self.prefix}samples-{name}") for name in names),
            "validation": tuple(StageRef(f"{self.prefix}validation-{name}") for name in names),
        }
        questions = min(limit or config.held_out, config.held_out) + config.validation
        units = len(names) * questions * config.sampling.n
        return [*made, Stage(self.reward_stage(variant, limit), REWARD, settings, inputs, units=units)]

    @property
    def headroom_stage(self) -> str:
        """Name of the stage that says what is left to gain."""
        return f"{self.prefix}headroom"

    def headroom_stages(self, variant: LabelVariant) -> list[Stage]:
        """First errors of every policy's greedy answers; how a reward model ranks the answers to one question."""
        greedy = tuple(policy.name for policy in self.loop.policies)
        sampled = tuple(self.policies())
        settings = HeadroomStage(policies=greedy, sampled=sampled, resamples=self.config.resamples)
        inputs: dict[str, Input | tuple[Input, ...]] = {
            "greedy": tuple(StageRef(f"{self.prefix}greedy-{name}") for name in greedy),
            "samples": tuple(StageRef(f"{self.prefix}samples-{name}") for name in sampled),
            "reward": StageRef(self.reward_stage(variant, None)),
        }
        units = self.config.held_out * (len(greedy) + len(sampled) * self.config.sampling.n)
        return [Stage(self.headroom_stage, HEADROOM, settings, inputs, units=units)]

    @property
    def tree_stage(self) -> str:
        """Name of the stage that compares tree search."""
        return f"{self.prefix}equal-tokens"

    def tree_stages(self, variant: LabelVariant) -> list[Stage]:
        """Tree search by the last policy, guided by a reward model, and samples to compare it with."""
        config, policy = self.config, self.policies()[FINAL]
        count = min(config.tree_questions, config.held_out)
        held_out, model = External(self.files.held_out), self.model(variant)
        answers, samples = f"{self.prefix}tree-answers", f"{self.prefix}tree-samples"
        searching = TreeAnswerStage(
            search=config.tree,
            engine=config.loop.engine,
            scorer=config.scorer,
            seed=self.seed,
            limit=count,
            concurrency=config.loop.search_concurrency,
        )
        sampling = config.sampling.model_copy(update={"n": config.tree_samples})
        drawing = SampleStage(sampling=sampling, engine=config.loop.engine, seed=self.seed, limit=count)
        asked: Mapping[str, Input] = {"questions": held_out, "policy": policy}
        return [
            Stage(answers, TREE_ANSWERS, searching, {**asked, "prm": model}, units=count),
            Stage(samples, SAMPLE, drawing, asked, units=count * config.tree_samples),
            Stage(
                self.tree_stage,
                EQUAL_TOKENS,
                EqualTokensStage(policy=FINAL, scorer=config.scorer),
                {
                    "answers": StageRef(answers),
                    "samples": StageRef(samples),
                    "prm": model,
                    "chosen": StageRef(self.reward_stage(variant, None)),
                },
                units=count * config.tree_samples,
            ),
        ]

    def _label_settings(self, variant: LabelVariant) -> LabelStage:
        config = self.config
        judged = variant.label in JUDGED
        stored = config.loop.search.min_rollouts
        return LabelStage(
            labels=config.labels_of(variant),
            rollouts=None if variant.rollouts == stored else variant.rollouts,
            judge="clinic" if judged else None,
            judge_error_rate=config.judge_error_rate if judged else 0.0,
        )

    def _is_reference(self, variant: LabelVariant) -> bool:
        return self._label_settings(variant) == self.reference_labels.settings

    def _stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == self.prefix + name)


def prefix_of(seed: int) -> str:
    """Of the names of a seed's stages."""
    return f"{seed}."


def seed_graph(config: StudyConfig, files: StudyFiles, seed: int) -> SeedGraph:
    """The loop of a seed, and the samples of its first and last policy."""
    prefix = prefix_of(seed)
    own = config.loop.model_copy(update={"seed": seed})
    inputs = EvolutionInputs(files.training[seed], files.policy, files.held_out, files.validation)
    loop = evolution_graph(own, inputs)
    stages = [_with_units(stage, config) for stage in prefixed(loop.stages, prefix)]
    graph = SeedGraph(config, files, seed, loop, tuple(stages))
    drawn = []
    for role, path, count in (
        ("samples", files.held_out, config.held_out),
        ("validation", files.validation, config.validation),
    ):
        for name, policy in graph.policies().items():
            settings = SampleStage(sampling=config.sampling, engine=config.loop.engine, seed=seed)
            asked = {"questions": External(path), "policy": policy}
            drawn.append(Stage(f"{prefix}{role}-{name}", SAMPLE, settings, asked, units=count * config.sampling.n))
    return replace(graph, stages=(*stages, *drawn))


def _with_units(stage: Stage, config: StudyConfig) -> Stage:
    """The stage with its amount of work as this study has it; for estimates of time only."""
    match stage.kind.name:
        case "search":
            return replace(stage, units=stage.units * config.loop.search.min_rollouts / _GUESSED_ROLLOUTS)
        case "prm" if config.loop.reward_trees == "all":
            return replace(stage, units=stage.units * config.loop.iterations)
    return stage


def _folder(stage: Stage) -> StageRef:
    settings = stage.settings
    assert isinstance(settings, TrainStage)
    return StageRef(stage.name, settings.model)
