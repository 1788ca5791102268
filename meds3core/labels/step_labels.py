"""Labels of steps for a process reward model (METHOD.md §3).

Every label is computed from the raw values of a step and of the one before it, never from another label, so penalties
do not compound along a trajectory; every label lies in [0, 1].
"""

from collections.abc import Sequence
from itertools import chain, islice, zip_longest

from meds3core.config.labels import StepLabelConfig
from meds3core.errors import AppError
from meds3core.labels.base import HumanLabels, StepJudge, Tally
from meds3core.labels.prefix import Prefix
from meds3core.labels.reading import TreeReading
from meds3core.types.labels import LabelKind, LabelledTrajectory

ONE_SIDED = "trajectories of questions without both right and wrong ones (both_outcomes)"
TOO_MANY = "trajectories beyond the limit (max_trajectories)"
UNLABELLED = "trajectories without a single label (label)"
SCORED = "trees whose values are a reward model's scores, which are no labels"
VALUELESS = "steps without a value (source)"
DISPUTED = "steps on which rollouts and judge disagree (label)"
UNJUDGED = "steps that the judge cannot judge (label)"
UNSEEN = "steps that nobody labelled (label)"


def step_label(config: StepLabelConfig, step: int, value: float, previous: float | None) -> float:
    """The label of step `step` >= 1 with raw value v, after a step with raw value p (None: it has none, no penalty).

    hard (and the Monte-Carlo side of consensus): 1 if v > t else 0
    soft:      v
    dual:      clip(v − λ·max(0, p − v), 0, 1)
    dual-hard: 1 if v − λ·(p − v) > 0 else 0 (published; a gain counts as well)

    The penalty begins with step `penalty_from`; before it the dual labels see no drop.

    Example (λ = 1, t = 0): values 0.75, 0.5, 0.875, 0.25, 0 of steps 1 to 5 give

        soft       0.75  0.5   0.875  0.25  0
        hard       1     1     1      1     0
        dual       0.75  0.25  0.875  0     0      0.5 − 0.25; no drop; clip(0.25 − 0.625)
        dual-hard  1     1     1      0     0      0.25 > 0; 0.875 + 0.375; −0.375; −0.25

    With compounding (a published fault) step 3 would be penalised against 0.25 and step 4 against another label.
    """
    drop = 0.0 if previous is None or step < config.penalty_from else previous - value
    match config.label:
        case LabelKind.HARD | LabelKind.CONSENSUS:
            return float(value > config.threshold)
        case LabelKind.SOFT:
            return value
        case LabelKind.DUAL:
            return min(1.0, max(0.0, value - config.penalty * max(0.0, drop)))
        case LabelKind.DUAL_HARD:
            return float(value - config.penalty * drop > 0.0)
    raise AppError(f"{config.label} labels are not computed from values")


def labelled_trajectories(
    readings: Sequence[TreeReading],
    config: StepLabelConfig,
    dropped: Tally,
    judge: StepJudge | None = None,
    human: HumanLabels | None = None,
) -> list[LabelledTrajectory]:
    """The finished trajectories of one question, from all its trees, with a label per step.

    A step that states a wrong answer has label 0 under every kind. Elsewhere a person's label (`human`) outranks what
    the kind says and weighs `human_weight`. `consensus` needs a judge and keeps the hard label where both agree.
    `human` keeps people's labels only; a judge then stands in for a person where none spoke.
    """
    usable = [reading for reading in readings if config.label is LabelKind.HUMAN or not reading.scored]
    dropped[SCORED] += len(readings) - len(usable)
    right: list[tuple[int, int]] = []
    wrong: list[tuple[int, int]] = []
    for index, reading in enumerate(usable):
        for node in reading.finished():
            (right if reading.verdicts[node] else wrong).append((index, node))
    if config.both_outcomes and not (right and wrong):
        dropped[ONE_SIDED] += len(right) + len(wrong)
        return []
    in_turn = [place for place in chain.from_iterable(zip_longest(right, wrong)) if place is not None]
    chosen = sorted(islice(in_turn, config.max_trajectories))
    dropped[TOO_MANY] += len(in_turn) - len(chosen)
    labellers = [_TreeLabeller(reading, config, dropped, judge, human) for reading in usable]
    trajectories = [labellers[index].trajectory(node) for index, node in chosen]
    return [trajectory for trajectory in trajectories if trajectory is not None]


class _TreeLabeller:
    """Labels the steps of one tree, each node once."""

    def __init__(
        self,
        reading: TreeReading,
        config: StepLabelConfig,
        dropped: Tally,
        judge: StepJudge | None,
        human: HumanLabels | None,
    ) -> None:
        self._reading = reading
        self._config = config
        self._dropped = dropped
        self._judge = judge
        self._human = human or {}
        self._values = reading.values if config.source == "backup" else reading.rollout_values
        self._labels: dict[int, tuple[float | None, float]] = {0: (None, 1.0)}
        root = Prefix.of(reading.question).then(reading.texts[0])
        self._prefixes = {0: root}
        self._hashes = {0: root.hash}

    def trajectory(self, leaf: int) -> LabelledTrajectory | None:
        """The trajectory that ends in this node; None where no step has a label."""
        reading = self._reading
        nodes = reading.path(leaf)
        for step, node in enumerate(nodes):
            if node not in self._labels:
                self._prefixes[node] = self._prefixes[nodes[step - 1]].then(reading.texts[node])
                self._hashes[node] = self._prefixes[node].hash
                self._labels[node] = self._label(step, nodes[:step], node)
        labels, weights = zip(*map(self._labels.__getitem__, nodes), strict=True)
        if labels.count(None) == len(labels):
            self._dropped[UNLABELLED] += 1
            return None
        return LabelledTrajectory(
            question=reading.question,
            bodies=reading.bodies(nodes),
            labels=labels,
            weights=() if weights.count(1.0) == len(weights) else weights,
            nodes=tuple(nodes),
            prefix_hashes=tuple(map(self._hashes.__getitem__, nodes)),
            correct=bool(reading.verdicts[leaf]),
            origin=reading.origin,
        )

    def _label(self, step: int, before: list[int], node: int) -> tuple[float | None, float]:
        """A step's label and the weight of its loss."""
        said = self._human.get(self._hashes[node])
        if self._reading.verdicts[node] is False:
            return 0.0, 1.0
        if said is not None:
            return said, self._config.human_weight
        if self._config.label is LabelKind.HUMAN:
            verdict = self._ask(before, node)
            if verdict is None:
                self._dropped[UNSEEN] += 1
                return None, 1.0
            return float(verdict), self._config.human_weight
        value = self._values[node]
        if value is None:
            self._dropped[VALUELESS] += 1
            return None, 1.0
        label = step_label(self._config, step, value, self._values[before[-1]])
        if self._config.label is LabelKind.CONSENSUS:
            verdict = self._ask(before, node)
            if verdict is None or float(verdict) != label:
                self._dropped[UNJUDGED if verdict is None else DISPUTED] += 1
                return None, 1.0
        return label, 1.0

    def _ask(self, before: list[int], node: int) -> bool | None:
        if self._judge is None:
            return None
        return self._judge.judge(self._reading.question, self._reading.bodies(before), self._reading.texts[node])
