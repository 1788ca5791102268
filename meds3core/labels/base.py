"""What labelling gives and what may be handed to it: label sets, judges, people's labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from meds3core.config.labels import AnyLabelConfig, JudgementLabelConfig, StepLabelConfig
from meds3core.errors import UserError
from meds3core.types.labels import LabelCounts, LabelKind, LabelledTrajectory, PreferencePair, SftExample
from meds3core.types.question import OpenQuestion

LabelRecord = SftExample | PreferencePair | LabelledTrajectory
_Kind = TypeVar("_Kind", SftExample, PreferencePair, LabelledTrajectory)

HumanLabels = Mapping[str, float]
"""What people said of steps, in [0, 1], by `labels.prefix.prefix_hash`."""

Tally = Counter[str]
"""What was dropped: how many, by reason. The reason names the unit and the setting."""


NOUNS = {"sft": "SFT examples", "pairs": "preference pairs", "steps": "labelled trajectories"}
"""What the records of each kind are, in words."""


RecordKind = Literal["sft", "pairs", "steps"]


def records_of(config: AnyLabelConfig) -> RecordKind:
    """What the records of a set with this configuration are."""
    return "steps" if isinstance(config, JudgementLabelConfig) else config.kind


def said_by_people(config: AnyLabelConfig) -> bool:
    """Whether a set with this configuration holds people's labels."""
    by_hand = isinstance(config, StepLabelConfig) and config.label is LabelKind.HUMAN
    return by_hand or isinstance(config, JudgementLabelConfig)


def _no_labels(counts: LabelCounts) -> str:
    if not counts.judgements:
        return "nothing to learn from: there is no judgement yet."
    listed = "; ".join(f"{count:,} {reason}" for reason, count in sorted(counts.dropped.items()))
    return f"nothing to learn from: of {counts.judgements:,} judgements none became a label. Left out: {listed}."


class EmptyLabelSet(UserError):
    """Nothing was kept; the message says what was dropped for which reason."""

    code = "empty-label-set"


class StepJudge(Protocol):
    """Somebody who can say whether a step is right: a rule, a stronger model, a person."""

    def judge(self, question: OpenQuestion, earlier_bodies: Sequence[str], body: str) -> bool | None:
        """Whether the step is right after these steps (step 0 first); None: cannot tell. A function of its input."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Training data of one kind, and what became of the trees it was made from.

    Records of one question stand together, those of one tree too; questions come in the order in which their first
    trees came.
    """

    config: AnyLabelConfig
    records: tuple[LabelRecord, ...]
    counts: LabelCounts
    by_chance: frozenset[str] = frozenset()
    """Names (`labels.prefix`) of the judged steps that chance chose: what is said of them holds for all steps."""

    @property
    def kind(self) -> RecordKind:
        """What its records are."""
        return records_of(self.config)

    @property
    def by_people(self) -> bool:
        """Whether its labels are people's word, which outranks rollouts."""
        return said_by_people(self.config)

    def sft(self) -> list[SftExample]:
        """The records of an SFT set. Raises `UserError` for a set of another kind."""
        return self._all_of(SftExample, "sft")

    def pairs(self) -> list[PreferencePair]:
        """The records of a set of preference pairs. Raises `UserError` for a set of another kind."""
        return self._all_of(PreferencePair, "pairs")

    def steps(self) -> list[LabelledTrajectory]:
        """The records of a set of step labels. Raises `UserError` for a set of another kind."""
        return self._all_of(LabelledTrajectory, "steps")

    def require_kept(self) -> None:
        """Raise `EmptyLabelSet` when nothing was kept."""
        if self.records:
            return
        counts = self.counts
        if self.config.kind == "judgements":
            raise EmptyLabelSet(_no_labels(counts))
        if not counts.trees:
            raise EmptyLabelSet("nothing to learn from: there was no tree. Name a file with trees.")
        reasons = [f"{count:,} {reason}" for reason, count in sorted(counts.dropped.items())]
        listed = "; ".join(reasons) or "no reason was recorded"
        raise EmptyLabelSet(
            f"nothing to learn from: no {NOUNS[self.kind]} were kept of {counts.trees} trees of "
            f"{counts.questions} questions. Dropped: {listed}. Change a setting in brackets, or search more questions."
        )

    def _all_of(self, kind: type[_Kind], name: str) -> list[_Kind]:
        if self.kind != name:
            raise UserError(f"this label set holds {self.kind!r}, but {name!r} is needed: build it with that kind")
        return [record for record in self.records if isinstance(record, kind)]
