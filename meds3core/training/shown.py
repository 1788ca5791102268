"""Records token by token, as the model sees them: out of the rows that training makes its batches of."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.training.rows import IGNORED, RewardRow, ending, orm_row, primed_prompt, prm_row, sft_row
from meds3core.types.labels import LabelledTrajectory, PreferencePair, SftExample
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

Method = Literal["sft", "dpo", "prm", "orm", "grpo"]


class Mark(Record):
    """A position of a stretch where the loss of a reward model reads a score, or where a step ends unread."""

    at: int = Field(description="Index of the token inside the stretch")
    position: int = Field(description="Index of the token in the whole sequence")
    step: int
    target: float | None = Field(description="What the score should be; None: the loss does not read this step")
    weight: float = 1.0


class Stretch(Record):
    """Tokens that belong together. `read`: seen, no loss; the others are what the loss falls on."""

    role: Literal["read", "trained", "chosen", "rejected"]
    tokens: tuple[str, ...] = Field(description="Each decoded by itself")
    ids: tuple[int, ...]
    marks: tuple[Mark, ...] = ()
    open_end: bool = Field(default=False, description="The turn is not ended: the continuation reaches no answer")


class ShownExample(Record):
    """One record as the model sees it."""

    number: int = Field(description="In the set, from 1")
    question_id: str
    source: str
    note: str
    length: int = Field(description="Tokens; of a pair the prefix with its longer side")
    fits: bool
    stretches: tuple[Stretch, ...]


def visible(words: str) -> str:
    """A token as it is shown: a line break as ⏎, signs that could steer what shows it replaced."""
    shown = words.replace("\n", "⏎")
    return "".join("�" if unicodedata.category(sign) in ("Cc", "Cf") else sign for sign in shown)


def shown_example(
    method: Method, encoder: TrajectoryEncoder, record: Any, number: int, length: int, fits: bool
) -> ShownExample:
    """A record of this method's, whether it fits or not. `length` is what must fit."""
    question: OpenQuestion = record if method == "grpo" else record.question
    note, stretches = _EXAMPLES[method](encoder, record)
    return ShownExample(
        number=number,
        question_id=question.id,
        source=question.source,
        note=note,
        length=length,
        fits=fits,
        stretches=tuple(stretches),
    )


def _stretch(encoder: TrajectoryEncoder, role: Any, ids: Sequence[int], **more: Any) -> Stretch:
    decode = encoder.tokenizer.decode
    tokens = (visible(decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)) for token in ids)
    return Stretch(role=role, tokens=tuple(tokens), ids=tuple(ids), **more)


def _sft_example(encoder: TrajectoryEncoder, example: SftExample) -> tuple[str, list[Stretch]]:
    row = sft_row(encoder, example)
    first = next((at for at, label in enumerate(row.labels) if label != IGNORED), len(row.labels))
    return f"weakest step {example.weakest:.2f}", [
        _stretch(encoder, "read", row.input_ids[:first]),
        _stretch(encoder, "trained", row.input_ids[first:]),
    ]


def _dpo_example(encoder: TrajectoryEncoder, pair: PreferencePair) -> tuple[str, list[Stretch]]:
    row = encoder.pair(pair)
    return f"{pair.kind} pair, margin {pair.margin:.2f}", [
        _stretch(encoder, "read", row.prompt),
        _stretch(encoder, "chosen", row.chosen, open_end=not pair.chosen_finished),
        _stretch(encoder, "rejected", row.rejected, open_end=not pair.rejected_finished),
    ]


def _reward_example(
    encoder: TrajectoryEncoder, trajectory: LabelledTrajectory, row: RewardRow
) -> tuple[str, list[Stretch]]:
    whole = encoder.steps(trajectory.question, trajectory.bodies)
    read = dict(zip(row.encoded.ends, zip(row.targets, row.weights, strict=True), strict=True))
    marks = []
    for step, end in enumerate(whole.ends):
        target, weight = read.get(end, (None, 1.0))
        marks.append(Mark(at=end - whole.prompt_length, position=end, step=step, target=target, weight=weight))
    return ending(trajectory.correct), [
        _stretch(encoder, "read", whole.ids[: whole.prompt_length]),
        _stretch(encoder, "read", whole.ids[whole.prompt_length :], marks=tuple(marks)),
    ]


_EXAMPLES: dict[str, Callable[[TrajectoryEncoder, Any], tuple[str, list[Stretch]]]] = {
    "sft": _sft_example,
    "dpo": _dpo_example,
    "prm": lambda encoder, record: _reward_example(encoder, record, prm_row(encoder, record)),
    "orm": lambda encoder, record: _reward_example(encoder, record, orm_row(encoder, record)),
    "grpo": lambda encoder, record: (
        "the policy writes on from here",
        [_stretch(encoder, "read", primed_prompt(encoder, record), open_end=True)],
    ),
}
