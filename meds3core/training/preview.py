"""What a training will see, before it is started: examples token by token, and what the whole set holds.

Rows come from `meds3core.training.rows`, which training makes its batches of, so a token shown as trained on is one
that the loss falls on. Examples are spread evenly over the set; counts are of all of it. Needs a tokenizer, no model.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from meds3core.config.training import GrpoConfig, TrainConfig
from meds3core.data.check import quantiles
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.errors import Cancelled
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.training.rows import (
    IGNORED,
    ending,
    longer_side,
    one_sided,
    orm_row,
    primed_prompt,
    prm_row,
    sft_row,
    used_steps,
)
from meds3core.training.shown import Method, ShownExample, shown_example
from meds3core.types.labels import LabelledTrajectory, PreferencePair, SftExample
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

SHOWN = 60
"""Examples that are kept with their tokens."""
SHOWN_LEFT_OUT = 12
"""Of those that are too long, so many at most beside them."""
LOOK_EVERY = 100
BINS = 10


class Histogram(Record):
    """How many of each."""

    title: str
    x_label: str = ""
    rows: tuple[tuple[str, int], ...]


class SourceCount(Record):
    """What comes from one source."""

    source: str
    records: int
    used: int
    tokens: int
    right: int | None = Field(default=None, description="Of those used, how many end in the right answer")


class StepCount(Record):
    """Labels of one step number."""

    step: int
    labels: int
    mean: float


class DataPreview(Record):
    """What a method would learn from these records with this tokenizer."""

    method: Method
    longest: int = Field(description="Tokens that fit")
    records: int
    used: int
    left_out: int = Field(description="Too long")
    unlabelled: int = Field(default=0, description="Without any label that the loss reads")
    questions: int
    tokens: int = Field(description="Of what is used, in one epoch, padding not counted")
    trained_tokens: int = Field(description="On which the loss falls; for reward models: positions that it reads")
    problem: str = Field(default="", description="Why a training would refuse; empty: it would not")
    lengths: dict[str, int]
    histograms: tuple[Histogram, ...]
    classes: tuple[Histogram, ...]
    sources: tuple[SourceCount, ...]
    steps: tuple[StepCount, ...] = ()
    examples: tuple[ShownExample, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """What is counted of a record: `length` must fit, `tokens` go through the model, on `trained` the loss falls."""

    length: int
    tokens: int
    trained: int


def preview_data(
    method: Method,
    records: Sequence[Any],
    tokenizer: Any,
    config: TrainConfig,
    context_length: int,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> DataPreview:
    """Look at everything that `method` would learn from. Raises `Cancelled`."""
    encoder, sink, cancel = TrajectoryEncoder(tokenizer), sink or NullSink(), cancel or CancelToken()
    longest = min(config.max_length, context_length)
    if isinstance(config, GrpoConfig):
        longest -= config.max_new_tokens
    rows: list[_Row] = []
    for index, record in enumerate(records):
        if index % LOOK_EVERY == 0:
            if cancel.cancelled:
                raise Cancelled("told to stop")
            sink.emit(ProgressEvent(kind="preview", done=index, total=len(records), data={"unit": "examples"}))
        rows.append(_COUNTED[method](encoder, record))
    learnt = [_learns(method, record) for record in records]
    used = [index for index, row in enumerate(rows) if learnt[index] and row.length <= longest]
    too_long = [index for index, row in enumerate(rows) if learnt[index] and row.length > longest]
    shown = sorted({*_spread(range(len(records)), SHOWN), *_spread(too_long, SHOWN_LEFT_OUT)})
    kept = [records[index] for index in used]
    return DataPreview(
        method=method,
        longest=max(longest, 0),
        records=len(records),
        used=len(used),
        left_out=len(too_long),
        unlabelled=learnt.count(False),
        questions=len({record.content_hash if method == "grpo" else record.question.content_hash for record in kept}),
        tokens=sum(rows[index].tokens for index in used),
        trained_tokens=sum(rows[index].trained for index in used),
        problem=_problem(method, records, learnt, used, longest),
        lengths=quantiles_of([rows[index].length for index in used]),
        histograms=(
            _binned("Length", "tokens", [row.length for row in rows], whole=True),
            *_DISTRIBUTIONS[method](kept),
        ),
        classes=tuple(_CLASSES[method](kept)),
        sources=_sources(method, records, rows, frozenset(used)),
        steps=_by_step(kept) if method == "prm" else (),
        examples=tuple(
            shown_example(method, encoder, records[index], index + 1, rows[index].length, rows[index].length <= longest)
            for index in shown
        ),
    )


def _learns(method: Method, record: Any) -> bool:
    """Whether the loss reads anything of a record."""
    if method == "prm":
        return bool(used_steps(record))
    return method != "orm" or record.correct is not None


def quantiles_of(lengths: Sequence[int]) -> dict[str, int]:
    """Quantiles of lengths (`meds3core.data.check.quantiles`); empty for none."""
    return quantiles(array("q", lengths))


# --- counting ------------------------------------------------------------------------------------------------------


def _sft(encoder: TrajectoryEncoder, example: SftExample) -> _Row:
    row = sft_row(encoder, example)
    return _Row(len(row.input_ids), len(row.input_ids), sum(label != IGNORED for label in row.labels))


def _dpo(encoder: TrajectoryEncoder, pair: PreferencePair) -> _Row:
    row = encoder.pair(pair)
    trained = len(row.chosen) + len(row.rejected)
    return _Row(longer_side(row), 2 * len(row.prompt) + trained, trained)


def _prm(encoder: TrajectoryEncoder, trajectory: LabelledTrajectory) -> _Row:
    row = prm_row(encoder, trajectory)
    return _Row(len(row.encoded.ids), len(row.encoded.ids), len(row.targets))


def _orm(encoder: TrajectoryEncoder, trajectory: LabelledTrajectory) -> _Row:
    row = orm_row(encoder, trajectory)
    return _Row(len(row.encoded.ids), len(row.encoded.ids), len(row.targets))


def _grpo(encoder: TrajectoryEncoder, question: OpenQuestion) -> _Row:
    length = len(primed_prompt(encoder, question))
    return _Row(length, length, 0)


_COUNTED: dict[str, Callable[[TrajectoryEncoder, Any], _Row]] = {
    "sft": _sft,
    "dpo": _dpo,
    "prm": _prm,
    "orm": _orm,
    "grpo": _grpo,
}


def _problem(method: Method, records: Sequence[Any], learnt: Sequence[bool], used: Sequence[int], longest: int) -> str:
    labelled = [record for record, has in zip(records, learnt, strict=True) if has]
    if not records:
        return "There is nothing to learn from."
    if not labelled:
        return (
            "No trajectory's end is known." if method == "orm" else "No trajectory has a labelled step besides step 0."
        )
    if method in ("prm", "orm") and (only := one_sided(labelled)):
        return f"All {len(labelled):,} trajectories are {only}: a reward model learns from both kinds."
    if not used:
        return f"All {len(labelled):,} are longer than the {max(longest, 0):,} tokens that fit."
    return ""


def _sources(
    method: Method, records: Sequence[Any], rows: Sequence[_Row], used: frozenset[int]
) -> tuple[SourceCount, ...]:
    judged = method in ("prm", "orm")
    found: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        counts = found.setdefault((record if method == "grpo" else record.question).source, [0, 0, 0, 0])
        counts[0] += 1
        if index in used:
            counts[1] += 1
            counts[2] += rows[index].tokens
            counts[3] += judged and record.correct is True
    ordered = sorted(found.items(), key=lambda pair: (-pair[1][0], pair[0]))
    return tuple(
        SourceCount(source=name, records=one[0], used=one[1], tokens=one[2], right=one[3] if judged else None)
        for name, one in ordered
    )


def _by_step(trajectories: Sequence[LabelledTrajectory]) -> tuple[StepCount, ...]:
    labels: dict[int, list[float]] = {}
    for trajectory in trajectories:
        for step in used_steps(trajectory):
            labels.setdefault(step, []).append(trajectory.labels[step] or 0.0)
    return tuple(
        StepCount(step=step, labels=len(each), mean=sum(each) / len(each)) for step, each in sorted(labels.items())
    )


# --- balance -------------------------------------------------------------------------------------------------------


def _labels(trajectories: Sequence[LabelledTrajectory]) -> list[float]:
    return [trajectory.labels[step] or 0.0 for trajectory in trajectories for step in used_steps(trajectory)]


_DISTRIBUTIONS: dict[str, Callable[[Sequence[Any]], Iterable[Histogram]]] = {
    "sft": lambda kept: (
        _whole("Steps of a trajectory", "steps", [len(one.bodies) - 1 for one in kept]),
        _binned("Weakest step's value", "value", [one.weakest for one in kept]),
    ),
    "dpo": lambda kept: (
        _binned("Margin between the two", "margin", [one.margin for one in kept]),
        _whole("Steps that both share", "steps", [len(one.prefix) - 1 for one in kept]),
    ),
    "prm": lambda kept: (
        _binned("Labels", "label", _labels(kept)),
        _whole("Labelled steps of a trajectory", "steps", [len(used_steps(one)) for one in kept]),
    ),
    "orm": lambda kept: (_whole("Steps of a trajectory", "steps", [len(one.bodies) - 1 for one in kept]),),
    "grpo": lambda kept: (),
}

_CLASSES: dict[str, Callable[[Sequence[Any]], Iterable[Histogram]]] = {
    "sft": lambda kept: (),
    "dpo": lambda kept: (
        _named("Kinds of pair", [str(one.kind) for one in kept]),
        _named("Chosen continuations", [_ending(one.chosen_finished) for one in kept]),
        _named("Rejected continuations", [_ending(one.rejected_finished) for one in kept]),
    ),
    "prm": lambda kept: (
        _named("Trajectories", [ending(one.correct).removesuffix(" answer") for one in kept]),
        _named("Labelled steps", ["0.5 and above" if each >= 0.5 else "below 0.5" for each in _labels(kept)]),
    ),
    "orm": lambda kept: (_named("Trajectories", [ending(one.correct).removesuffix(" answer") for one in kept]),),
    "grpo": lambda kept: (_named("Kinds of answer", [one.answer_format.kind for one in kept]),),
}  # fmt: skip


def _ending(finished: bool) -> str:
    return "reach an answer" if finished else "left open"


def _named(title: str, values: Sequence[str]) -> Histogram:
    return Histogram(title=title, rows=tuple(Counter(values).most_common()))


def _whole(title: str, x_label: str, values: Sequence[int]) -> Histogram:
    """Of whole numbers; those that are rare and large share a last column."""
    counts = Counter(values)
    last = 16
    rows = [(str(value), counts[value]) for value in sorted(counts) if value < last]
    if more := sum(count for value, count in counts.items() if value >= last):
        rows.append((f"{last}+", more))
    return Histogram(title=title, x_label=x_label, rows=tuple(rows))


def _binned(title: str, x_label: str, values: Sequence[float], *, whole: bool = False) -> Histogram:
    """In `BINS` columns of one width: of the unit interval, or from 0 to the largest, rounded up."""
    top = 1.0
    if whole:
        width = 10
        while width * BINS <= max(values, default=0):
            width = {1: 2, 2: 5, 5: 10}[int(str(width)[0])] * 10 ** (len(str(width)) - 1)
        top = float(width * BINS)
    counts = Counter(min(BINS - 1, int(value / top * BINS + 1e-9)) for value in values)
    edges = [top * number / BINS for number in range(BINS + 1)]
    shown = (f"{edges[at]:,.0f}" if whole else f"{edges[at]:.1f}" for at in range(BINS))
    return Histogram(title=title, x_label=x_label, rows=tuple((label, counts[at]) for at, label in enumerate(shown)))


def _spread(indices: Sequence[int], most: int) -> list[int]:
    """So many of them at most, evenly spaced, the first among them."""
    if len(indices) <= most:
        return list(indices)
    return [indices[place * len(indices) // most] for place in range(most)]
