"""The loop of METHOD.md §4 as a graph: search, SFT, search, SFT, DPO, PRM, with evaluations and a control beside it.

iteration 1:  questions → trees → SFT set → SFT 1 (from base)            control set → control 1 (from base)
iteration i:  questions → trees (by the newest policy) → SFT set of trees 1…i → SFT i → pairs of 1…i → DPO i
at the end:   step labels of the newest rollouts (or all) → PRM (from the final policy)
of each:      greedy answers → evaluation; of base and final also samples, scored by the PRM → strategies
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meds3core.config.decoding import SampleConfig
from meds3core.config.evolution import EvolutionConfig
from meds3core.config.training import TrainConfig
from meds3core.data.read import load_questions
from meds3core.errors import ConfigError
from meds3core.evolution.graph import External, Input, Stage, StageRef
from meds3core.evolution.stages.curriculum import CURRICULUM, QUESTIONS, CurriculumStage
from meds3core.evolution.stages.evaluate import EVALUATE, EVALUATION, EvaluateStage
from meds3core.evolution.stages.labels import CONTROL, LABEL, LABELS, ControlStage, LabelStage
from meds3core.evolution.stages.report import REPORT, Policy, ReportStage
from meds3core.evolution.stages.sample import SAMPLE, SampleStage
from meds3core.evolution.stages.score import SCORE, SCORE_TREES, ScoreStage, TreeScoreStage
from meds3core.evolution.stages.search import MERGE, SEARCH, MergeStage, SearchStage
from meds3core.evolution.stages.train import TRAIN, TrainStage
from meds3core.evolution.store import RECORD
from meds3core.search.run import TREES

BASE, FINAL_REPORT = "base", "report"


@dataclass(frozen=True)
class EvolutionInputs:
    """What a loop starts from: files of questions and a policy's folder."""

    questions: Path
    policy: Path
    held_out: Path
    validation: Path | None = None


@dataclass(frozen=True)
class Sizes:
    """How many questions the inputs hold. They count for estimates of time alone."""

    questions: int
    held_out: int
    validation: int = 0


def sizes_of(inputs: EvolutionInputs) -> Sizes:
    """By reading the files. Raises what `load_questions` raises."""
    files = (inputs.questions, inputs.held_out, inputs.validation)
    return Sizes(*(len(load_questions(file).questions) if file else 0 for file in files))


@dataclass
class EvolutionGraph:
    """The stages of a loop and what its policies are called."""

    stages: list[Stage] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    """The base first, then in order of training; with every control beside its SFT model."""
    final: str = BASE


def evolution_graph(config: EvolutionConfig, inputs: EvolutionInputs, sizes: Sizes | None = None) -> EvolutionGraph:
    """All stages of a loop. Reads the question files, so that bad ones are refused before any work is done.

    With `sizes` nothing is read: the graph can be looked at where the files are not.
    """
    return _Builder(config, inputs, sizes or sizes_of(inputs)).build()


def iteration_seed(seed: int, iteration: int) -> int:
    """Of an iteration's search: a question that is searched again must not meet the same random numbers."""
    return seed * 1000 + iteration


class _Builder:
    def __init__(self, config: EvolutionConfig, inputs: EvolutionInputs, sizes: Sizes) -> None:
        self.config = config
        self.graph = EvolutionGraph()
        self.questions = External(inputs.questions)
        self.held_out = External(inputs.held_out)
        self.validation = External(inputs.validation) if inputs.validation else None
        self.models: dict[str, Input] = {BASE: External(inputs.policy)}
        self.pool, self.tests, self.validations = sizes.questions, sizes.held_out, sizes.validation
        if config.guided_from is not None and config.guided_from > config.iterations:
            raise ConfigError(f"guided_from is {config.guided_from}, but there are {config.iterations} iterations")

    def build(self) -> EvolutionGraph:
        config, current = self.config, BASE
        self._policy(BASE, "", "the policy as it was given")
        for number in range(1, config.iterations + 1):
            self._search(number, current)
            sft = self._sft(number, current)
            self._control(number)
            current = sft
            last = number == config.iterations
            if config.dpo_after == "every" or (config.dpo_after == "last" and last):
                current = self._dpo(number, sft)
            if last and config.grpo is not None:
                current = self._grpo(number, current)
            if config.prm is not None and (last or self._guided(number + 1)):
                self._reward_model("prm", number, current)
            if config.orm is not None and last:
                self._reward_model("orm", number, current)
        self.graph.final = current
        self._tree_scores()
        self._evaluations(current)
        return self.graph

    # the chain

    def _search(self, number: int, current: str) -> None:
        config = self.config
        earlier = self._trees(range(1, number))
        held_out = (self.held_out, self.validation) if self.validation else self.held_out
        self._add(
            Stage(
                f"questions-{number}",
                CURRICULUM,
                CurriculumStage(plan=config.questions),
                {"questions": self.questions, "trees": earlier, "held-out": held_out},
                units=self.pool,
            )
        )
        chosen = StageRef(f"questions-{number}", QUESTIONS)
        inputs: dict[str, Input | tuple[Input, ...]] = {"questions": chosen, "policy": self.models[current]}
        search = config.search
        if self._guided(number):
            inputs["prm"] = self.models[f"prm-{number - 1}"]
            search = search.model_copy(update={"simulation": "scorer"})
        shares = config.search_shares
        names = [
            f"search-{number}{'abcdefghijklmnopqrstuvwxyz'[share % 26] * (1 + share // 26)}" for share in range(shares)
        ]
        for share, name in enumerate(names):
            settings = SearchStage(
                search=search,
                engine=config.engine,
                scorer=config.scorer,
                seed=iteration_seed(config.seed, number),
                concurrency=config.search_concurrency,
                share=share,
                shares=shares,
            )
            self._add(Stage(name, SEARCH, settings, inputs, units=self._count * search.max_nodes / shares))
        parts = tuple(StageRef(name, TREES) for name in names)
        self._add(
            Stage(f"trees-{number}", MERGE, MergeStage(), {"questions": chosen, "trees": parts}, units=self._count)
        )

    def _sft(self, number: int, current: str) -> str:
        name = f"sft-{number}"
        labels = LabelStage(labels=self.config.sft_labels)
        examples = 2.0 * self._count * number
        self._add(Stage(f"sft-set-{number}", LABEL, labels, {"trees": self._trees(range(1, number + 1))}, examples))
        self._train(name, self.config.sft, current, f"sft-set-{number}", examples)
        self._policy(name, current, f"fine-tuned on right trajectories of {self._rounds(number)}")
        return name

    def _control(self, number: int) -> None:
        config = self.config
        if config.control == "never" or (config.control == "first" and number > 1):
            return
        before = BASE if number == 1 else f"control-{number - 1}"
        per_question = config.sft_labels.per_question
        settings = SampleStage(
            sampling=SampleConfig(
                prompt=config.search.prompt,
                n=per_question,
                draw=config.search.step_draw,
                max_tokens=config.search.rollout_tokens,
            ),
            engine=config.engine,
            seed=iteration_seed(config.seed, number),
        )
        asked = {"questions": StageRef(f"questions-{number}", QUESTIONS), "policy": self.models[before]}
        self._add(Stage(f"control-samples-{number}", SAMPLE, settings, asked, units=self._count * per_question))
        rounds = range(1, number + 1)
        drawn: dict[str, Input | tuple[Input, ...]] = {
            "labels": StageRef(f"sft-set-{number}", LABELS),
            "samples": tuple(StageRef(f"control-samples-{one}") for one in rounds),
        }
        self._add(Stage(f"control-set-{number}", CONTROL, ControlStage(seed=config.seed), drawn, units=self._count))
        name = f"control-{number}"
        steps = StageRef(f"sft-{number}", RECORD)
        self._train(name, config.sft, before, f"control-set-{number}", 2.0 * self._count * number, steps_of=steps)
        self._policy(name, before, f"control: as many unfiltered samples, as many steps as sft-{number}")

    def _dpo(self, number: int, sft: str) -> str:
        name = f"dpo-{number}"
        labels = LabelStage(labels=self.config.pair_labels)
        self._add(
            Stage(f"pairs-{number}", LABEL, labels, {"trees": self._trees(range(1, number + 1))}, self._count * number)
        )
        self._train(name, self.config.dpo, sft, f"pairs-{number}", 2.0 * self._count * number)
        self._policy(name, sft, f"preference pairs of {self._rounds(number)}")
        return name

    def _grpo(self, number: int, current: str) -> str:
        name = f"grpo-{number}"
        config = self.config.grpo
        assert config is not None
        settings = TrainStage(training=config.model_copy(update={"seed": self.config.seed}), model=name)
        inputs = {"start": self.models[current], "questions": StageRef(f"questions-{number}", QUESTIONS)}
        self._add(Stage(name, TRAIN["grpo"], settings, inputs, units=config.max_steps or self._count))
        self.models[name] = StageRef(name, name)
        self._policy(name, current, "reinforced by the verifier's verdicts")
        return name

    def _reward_model(self, kind: str, number: int, current: str) -> None:
        """From the newest policy, on trees that were grown with rollouts: scores are never labels."""
        config = self.config.prm if kind == "prm" else self.config.orm
        assert config is not None
        rolled_out = [one for one in range(1, number + 1) if not self._guided(one)]
        newest = rolled_out[-1]
        labels = LabelStage(labels=self.config.step_labels)
        if f"steps-{newest}" not in {stage.name for stage in self.graph.stages}:
            trees = self._trees(rolled_out if self.config.reward_trees == "all" else [newest])
            self._add(Stage(f"steps-{newest}", LABEL, labels, {"trees": trees}, self._count))
        self._train(f"{kind}-{number}", config, current, f"steps-{newest}", 4.0 * self._count)

    def _tree_scores(self) -> None:
        """What the last reward model thinks of the steps that the loop searched: for people, nothing learns from it."""
        config = self.config
        if config.prm is None or config.scored_trees == "none":
            return
        model = self.models[f"prm-{config.iterations}"]
        for number in range(1, config.iterations + 1) if config.scored_trees == "all" else [config.iterations]:
            given = {"trees": StageRef(f"trees-{number}", TREES), "model": model}
            settings = TreeScoreStage(scorer=config.scorer)
            self._add(Stage(f"tree-scores-{number}", SCORE_TREES, settings, given, units=self._count))

    def _train(
        self, name: str, config: TrainConfig, start: str, labels: str, examples: float, steps_of: StageRef | None = None
    ) -> None:
        settings = TrainStage.model_validate(
            {"training": config.model_copy(update={"seed": self.config.seed}), "model": name}
        )
        inputs: dict[str, Input] = {"start": self.models[start], "labels": StageRef(labels, LABELS)}
        if steps_of is not None:
            inputs["steps_of"] = steps_of
        kind = TRAIN[settings.training.method]
        self._add(Stage(name, kind, settings, inputs, units=examples * config.epochs))
        self.models[name] = StageRef(name, name)

    # what is measured

    def _evaluations(self, final: str) -> None:
        plan = self.config.evaluation
        shown = [policy for policy in self.graph.policies if self._is_shown(policy.name, final)]
        names = {policy.name for policy in shown}
        for policy in shown:
            self._evaluate(policy.name, sampled=plan.sampled and policy.name in (BASE, final))
        self.graph.policies = [
            policy.model_copy(update={"after": self._shown_parent(policy, names)}) for policy in shown
        ]
        controls = [name for name in names if name.startswith("control-")]
        versus = [(name, f"sft-{name.removeprefix('control-')}") for name in sorted(controls)]
        versus += [(name, final) for name in sorted(controls) if (name, final) not in versus]
        settings = ReportStage(
            policies=tuple(self.graph.policies),
            final=final,
            versus=tuple(pair for pair in versus if set(pair) <= names),
        )
        evaluations = tuple(StageRef(f"evaluation-{policy.name}", EVALUATION) for policy in shown)
        self._add(Stage(FINAL_REPORT, REPORT, settings, {"evaluations": evaluations}))

    def _is_shown(self, name: str, final: str) -> bool:
        which = self.config.evaluation.greedy_policies
        return (
            name in (BASE, final)
            or name.startswith("control-")
            or which == "all"
            or (which == "sft" and name.startswith("sft-"))
        )

    def _shown_parent(self, policy: Policy, names: set[str]) -> str:
        after = {each.name: each.after for each in self.graph.policies}
        parent = policy.after
        while parent and parent not in names:
            parent = after[parent]
        return parent

    def _evaluate(self, name: str, *, sampled: bool) -> None:
        config, plan = self.config, self.config.evaluation
        # Greedy answers draw no random numbers: with seed 0 every loop with this policy shares them.
        count = min(self.tests, plan.greedy_questions or self.tests)
        self._sample(f"greedy-{name}", name, self.held_out, plan.greedy, 0, plan.greedy_questions, count)
        inputs: dict[str, Input | tuple[Input, ...]] = {"greedy": StageRef(f"greedy-{name}")}
        sets = [("samples", "", self.held_out, plan.sampled_questions, self.tests)]
        if self.validation is not None:
            sets.append(("validation", "validation-", self.validation, plan.validation_questions, self.validations))
        for role, prefix, file, limit, size in sets if sampled else ():
            count = min(size, limit or size)
            self._sample(f"{role}-{name}", name, file, plan.sampling, config.seed, limit, count)
            inputs[role] = StageRef(f"{role}-{name}")
            for kind, wanted in (("prm", config.prm), ("orm", config.orm)):
                if wanted is None:
                    continue
                scored = {"samples": StageRef(f"{role}-{name}"), "model": self.models[f"{kind}-{config.iterations}"]}
                stage = f"{prefix}{kind}-scores-{name}"
                settings = ScoreStage(scorer=config.scorer)
                self._add(Stage(stage, SCORE, settings, scored, units=count * plan.sampling.n))
                inputs[prefix + kind] = StageRef(stage)
        evaluation = EvaluateStage(figures=plan.figures, judge=plan.judge)
        units = count * plan.sampling.n if sampled else count
        self._add(Stage(f"evaluation-{name}", EVALUATE, evaluation, inputs, units=units))

    def _sample(
        self, stage: str, policy: str, file: External, sampling: SampleConfig, seed: int, limit: int | None, count: int
    ) -> None:
        settings = SampleStage(sampling=sampling, engine=self.config.engine, seed=seed, limit=limit)
        inputs = {"questions": file, "policy": self.models[policy]}
        self._add(Stage(stage, SAMPLE, settings, inputs, units=count * sampling.n))

    # small things

    @property
    def _count(self) -> int:
        """Questions of an iteration."""
        return min(self.pool, self.config.questions.quotas.count or self.pool)

    def _guided(self, number: int) -> bool:
        return self.config.guided_from is not None and self.config.guided_from <= number <= self.config.iterations

    def _trees(self, numbers: Sequence[int]) -> tuple[StageRef, ...]:
        return tuple(StageRef(f"trees-{number}", TREES) for number in numbers)

    def _rounds(self, number: int) -> str:
        return "iteration 1" if number == 1 else f"iterations 1 to {number}"

    def _add(self, stage: Stage) -> None:
        self.graph.stages.append(stage)

    def _policy(self, name: str, after: str, description: str) -> None:
        self.graph.policies.append(Policy(name=name, after=after, description=description))
