"""What a model is trained on, as token ids: the one place where records become rows, for every method.

Training makes its batches of these rows, and a preview shows them, so what is shown is what is trained on. Needs a
tokenizer, but neither torch nor a model. Nothing is ever truncated: what does not fit is left out as a whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meds3core.encoding.trajectory import EncodedPair, EncodedTrajectory, TrajectoryEncoder
from meds3core.text.steps import OPENER, header
from meds3core.types.labels import LabelledTrajectory, PreferencePair, SftExample
from meds3core.types.question import OpenQuestion

IGNORED = -100
"""The label of a token that no loss falls on."""


@dataclass(frozen=True, slots=True)
class SftRow:
    """One sequence; labels are `IGNORED` on the prompt."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RewardRow:
    """One trajectory. `encoded.ends` are the positions that the loss reads, with a target and a weight for each."""

    encoded: EncodedTrajectory
    targets: tuple[float, ...]
    weights: tuple[float, ...]


# --- imitation -----------------------------------------------------------------------------------------------------


def sft_row(encoder: TrajectoryEncoder, example: SftExample) -> SftRow:
    """Ids and labels of an example, however long it is."""
    encoded = encoder.sft(example)
    return SftRow(encoded.prompt + encoded.completion, (IGNORED,) * len(encoded.prompt) + encoded.completion)


def sft_rows(encoder: TrajectoryEncoder, examples: Iterable[SftExample], max_length: int) -> list[SftRow]:
    """Ids and labels of the examples that fit into `max_length` tokens; nothing is truncated."""
    rows = (sft_row(encoder, example) for example in examples)
    return [row for row in rows if len(row.input_ids) <= max_length]


# --- preference ----------------------------------------------------------------------------------------------------


def longer_side(row: EncodedPair) -> int:
    """Tokens of the prefix and the longer continuation: what must fit."""
    return len(row.prompt) + max(len(row.chosen), len(row.rejected))


def pair_rows(encoder: TrajectoryEncoder, pairs: Iterable[PreferencePair], max_length: int) -> list[EncodedPair]:
    """The pairs both of whose sides fit into `max_length` tokens with their prefix."""
    rows = map(encoder.pair, pairs)
    return [row for row in rows if longer_side(row) <= max_length]


# --- reward models -------------------------------------------------------------------------------------------------


def used_steps(trajectory: LabelledTrajectory) -> list[int]:
    """Steps that the loss of a process reward model reads: those with a label, from step 1 on."""
    return [step for step, label in enumerate(trajectory.labels) if step and label is not None]


def prm_row(encoder: TrajectoryEncoder, trajectory: LabelledTrajectory) -> RewardRow:
    """A trajectory, read at the ends of its labelled steps, however long it is."""
    encoded = encoder.steps(trajectory.question, trajectory.bodies)
    weights = trajectory.weights or (1.0,) * len(trajectory.bodies)
    steps = used_steps(trajectory)
    return RewardRow(
        EncodedTrajectory(encoded.ids, encoded.prompt_length, tuple(encoded.ends[step] for step in steps)),
        tuple(trajectory.labels[step] or 0.0 for step in steps),
        tuple(weights[step] for step in steps),
    )


def prm_rows(
    encoder: TrajectoryEncoder, trajectories: Iterable[LabelledTrajectory], max_length: int
) -> list[RewardRow]:
    """The trajectories that fit into `max_length` tokens, read at the ends of their labelled steps from step 1 on."""
    rows = (prm_row(encoder, trajectory) for trajectory in trajectories)
    return [row for row in rows if len(row.encoded.ids) <= max_length]


def orm_row(encoder: TrajectoryEncoder, trajectory: LabelledTrajectory) -> RewardRow:
    """A trajectory whose end is known, read at its last token, however long it is."""
    encoded = encoder.steps(trajectory.question, trajectory.bodies)
    last = EncodedTrajectory(encoded.ids, encoded.prompt_length, encoded.ends[-1:])
    return RewardRow(last, (float(bool(trajectory.correct)),), (1.0,))


def orm_rows(
    encoder: TrajectoryEncoder, trajectories: Iterable[LabelledTrajectory], max_length: int
) -> list[RewardRow]:
    """The trajectories that fit into `max_length` tokens, read at their last token."""
    rows = (orm_row(encoder, trajectory) for trajectory in trajectories)
    return [row for row in rows if len(row.encoded.ids) <= max_length]


def one_sided(trajectories: Sequence[LabelledTrajectory]) -> str:
    """ "right" or "wrong" where all trajectories are: there is nothing to tell apart. Else empty.

    Of one whose end is not known, what people judged single steps of, the labels say it.
    """
    sides: set[bool] = set()
    for trajectory in trajectories:
        if trajectory.correct is None:
            sides.update(label >= 0.5 for label in trajectory.labels if label is not None)
        else:
            sides.add(trajectory.correct)
    if len(sides) != 1:
        return ""
    return "right" if True in sides else "wrong"


def ending(correct: bool | None) -> str:
    """What is known of a trajectory's end, in words."""
    return "end not known" if correct is None else "right answer" if correct else "wrong answer"


# --- reinforcement -------------------------------------------------------------------------------------------------


def primed_prompt(encoder: TrajectoryEncoder, question: OpenQuestion) -> list[int]:
    """Ids of the question's turn and of the beginning of the policy's own, up to "Step 1:"."""
    return [*encoder.steps(question, (OPENER,)).ids, *encoder.piece(header(1))]
