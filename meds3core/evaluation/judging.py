"""Where the truth about steps comes from: a rule (the clinic's checker) or labels that people agreed on.

Two truths, both reported. *Absolutely*: every value in the step is the right solution's, so what follows from an error
is wrong too. *Given the prefix*: the step adds no error of its own. The first wrong step is the same under both.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, Protocol

from meds3core.sandbox.checker import judge_steps
from meds3core.sandbox.forms import Case
from meds3core.sandbox.questions import NotAClinicQuestion, case_of
from meds3core.types.labels import LabelledTrajectory
from meds3core.types.question import OpenQuestion, TextFormat
from meds3core.types.record import Record

TruthKind = Literal["absolute", "given-prefix"]


class StepTruth(Record):
    """Whether a step is right. None: not known (a style the judge cannot read, a step nobody labelled)."""

    right_absolutely: bool | None
    right_given_prefix: bool | None

    def right(self, kind: TruthKind) -> bool | None:
        """The truth of one kind."""
        return self.right_absolutely if kind == "absolute" else self.right_given_prefix


_OPENER = StepTruth(right_absolutely=True, right_given_prefix=True)
_UNKNOWN = StepTruth(right_absolutely=None, right_given_prefix=None)


class StepJudge(Protocol):
    """Knows which steps are right. Pure: the same trajectory gets the same verdicts."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def judge(self, question: OpenQuestion, bodies: Sequence[str]) -> tuple[StepTruth, ...] | None:
        """One truth per body, step 0's first; None when nothing is known of this trajectory."""


class ClinicJudge:
    """The step checker of the synthetic clinic."""

    name = "clinic"

    def __init__(self) -> None:
        self._case = lru_cache(maxsize=4096)(_case)

    def judge(self, question: OpenQuestion, bodies: Sequence[str]) -> tuple[StepTruth, ...] | None:
        """Sentences that are not of the taught style are unknown; other questions than the clinic's are None."""
        case = self._case(question.text, question.id)
        if case is None:
            return None
        return tuple(
            StepTruth(right_absolutely=verdict.right_absolutely, right_given_prefix=verdict.right_given_prefix)
            if verdict.judged
            else _UNKNOWN
            for verdict in judge_steps(case, bodies)
        )


class RememberedJudge:
    """Another judge, asked only once about each trajectory."""

    def __init__(self, judge: StepJudge) -> None:
        self.name = judge.name
        self._judge = judge
        self._known: dict[tuple[str, tuple[str, ...]], tuple[StepTruth, ...] | None] = {}

    def judge(self, question: OpenQuestion, bodies: Sequence[str]) -> tuple[StepTruth, ...] | None:
        """What the other one says."""
        key = question.content_hash, tuple(bodies)
        if key not in self._known:
            self._known[key] = self._judge.judge(question, bodies)
        return self._known[key]


_Prefix = tuple[str, tuple[str, ...]]


class LabelJudge:
    """Labels of steps by people or by agreement, wherever a trajectory begins with a labelled prefix.

    A label of at least `threshold` says that the step adds no error. Absolutely right is a step that is right
    together with all steps before it; where one before it is unlabelled, that is unknown. Several labels of the same
    prefix: their mean decides.
    """

    name = "labels"

    def __init__(self, trajectories: Iterable[LabelledTrajectory], threshold: float = 0.5) -> None:
        gathered: dict[_Prefix, list[float]] = {}
        for trajectory in trajectories:
            for number, label in enumerate(trajectory.labels):
                if label is not None:
                    key = _prefix(trajectory.question, trajectory.bodies[: number + 1])
                    gathered.setdefault(key, []).append(label)
        self._right = {key: sum(labels) / len(labels) >= threshold for key, labels in gathered.items()}

    def judge(self, question: OpenQuestion, bodies: Sequence[str]) -> tuple[StepTruth, ...] | None:
        """None when no step of the trajectory has a label."""
        truths = [_OPENER]
        so_far: bool | None = True
        for number in range(1, len(bodies)):
            right = self._right.get(_prefix(question, bodies[: number + 1]))
            so_far = False if so_far is False or right is False else None if so_far is None or right is None else True
            truths.append(StepTruth(right_absolutely=so_far, right_given_prefix=right))
        return tuple(truths) if any(truth.right_given_prefix is not None for truth in truths[1:]) else None


def _case(text: str, identity: str) -> Case | None:
    try:
        # Only the text is read, so any format will do.
        return case_of(OpenQuestion(id=identity, text=text, answer_format=TextFormat()))
    except NotAClinicQuestion:
        return None


def _prefix(question: OpenQuestion, bodies: Sequence[str]) -> _Prefix:
    return question.text_hash, tuple(bodies)
