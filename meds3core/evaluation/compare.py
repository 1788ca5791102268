"""Two evaluations on the same questions: what changed, where, and whether it could be chance."""

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from meds3core.evaluation.comparability import pair
from meds3core.evaluation.intervals import Resampling
from meds3core.evaluation.paired import McNemar, PairedDifference, mcnemar, paired_difference
from meds3core.evaluation.record import QuestionRow, StoredEvaluation
from meds3core.types.record import Record


class MeasureDifference(Record):
    """One measure on both sides, second minus first."""

    name: str
    difference: PairedDifference
    mcnemar: McNemar | None = Field(default=None, description="Where a question's outcome is right or not")


class Change(Record):
    """A question on which the two disagree. `kind`: won, where only the second is right; lost, only the first."""

    id: str
    kind: Literal["won", "lost"]
    source: str
    domain: str
    first_answer: str | None
    second_answer: str | None


class Comparison(Record):
    """The second evaluation against the first."""

    first: str
    second: str
    questions: int
    notes: tuple[str, ...] = ()
    greedy: MeasureDifference | None = None
    sound: MeasureDifference | None = Field(default=None, description="Every step and the answer right, greedy")
    chosen: MeasureDifference | None = Field(default=None, description="Each side's chosen strategy")
    strategies: tuple[MeasureDifference, ...] = Field(default=(), description="What both computed: exploratory")
    domains: tuple[MeasureDifference, ...] = Field(default=(), description="Greedy, by domain")
    changes: tuple[Change, ...] = ()


Pairs = Sequence[tuple[QuestionRow, QuestionRow]]
Value = Callable[[QuestionRow], float | None]


def compare(first: StoredEvaluation, second: StoredEvaluation, *, shared: bool = False) -> Comparison:
    """Every measure that both have, paired by question.

    `shared`: on the questions both have. Raises `NotComparable` with the reasons (`comparability`). Greedy answers
    and samples may stand on different questions, so each is matched by itself.
    """
    notes: dict[str, None] = {}
    greedy = _pairs(first, second, lambda row: row.greedy is not None, shared, notes)
    sampled = _pairs(first, second, lambda row: bool(row.strategies), shared, notes)
    config = second.evaluation.config
    options = Resampling(level=config.level, resamples=config.p_resamples, seed=config.seed)

    def measure(name: str, pairs: Pairs, value: Value, second_value: Value | None = None) -> MeasureDifference | None:
        both = [(value(a), (second_value or value)(b)) for a, b in pairs]
        known = [(a, b) for a, b in both if a is not None and b is not None]
        if not known:
            return None
        before, after = [a for a, _ in known], [b for _, b in known]
        certain = all(each in (0.0, 1.0) for each in before + after)
        return MeasureDifference(
            name=name,
            difference=paired_difference(before, after, **options),
            mcnemar=mcnemar(before, after) if certain else None,
        )

    labels = [label for label in (sampled[0][0].strategies if sampled else ()) if label in sampled[0][1].strategies]
    domains = sorted({a.question.domain for a, _ in greedy})
    return Comparison(
        first=first.evaluation.policy,
        second=second.evaluation.policy,
        questions=len(greedy or sampled),
        notes=tuple(notes),
        greedy=measure("greedy", greedy, _right),
        sound=measure("every step and the answer right", greedy, _sound),
        chosen=_chosen(first, second, sampled, measure),
        strategies=tuple(
            found
            for label in labels
            if (found := measure(label, sampled, lambda row, label=label: row.strategies.get(label))) is not None  # type: ignore[misc]
        ),
        domains=tuple(
            found
            for domain in domains
            if len(domains) > 1
            and (found := measure(domain or "not named", [p for p in greedy if p[0].question.domain == domain], _right))
        ),
        changes=tuple(_changes(greedy)),
    )


def _pairs(
    first: StoredEvaluation,
    second: StoredEvaluation,
    has: Callable[[QuestionRow], bool],
    shared: bool,
    notes: dict[str, None],
) -> Pairs:
    """The rows of both that have something, matched. Nothing where one side has none of it."""
    one, other = ([row for row in side.rows if has(row)] for side in (first, second))
    if not one or not other:
        return []
    pairing = pair(first.basis(one), second.basis(other), shared=shared)
    notes.update(dict.fromkeys(pairing.notes))
    return [(one[i], other[j]) for i, j in pairing.pairs]


def _chosen(
    first: StoredEvaluation, second: StoredEvaluation, pairs: Pairs, measure: Callable[..., MeasureDifference | None]
) -> MeasureDifference | None:
    """Each side answering in the way it chose."""
    one, other = first.evaluation.selection, second.evaluation.selection
    if one is None or other is None or not pairs:
        return None
    before, after = one.chosen.label, other.chosen.label
    name = after if before == after else f"{before} → {after}"
    return measure(name, pairs, lambda row: row.strategies.get(before), lambda row: row.strategies.get(after))


def _right(row: QuestionRow) -> float | None:
    return None if row.greedy is None else float(row.greedy.correct is True)


def _sound(row: QuestionRow) -> float | None:
    return None if row.greedy is None or row.greedy.sound is None else float(row.greedy.sound)


def _changes(pairs: Pairs) -> list[Change]:
    found = []
    for a, b in pairs:
        before, after = _right(a), _right(b)
        if before != after:
            assert a.greedy is not None and b.greedy is not None
            found.append(
                Change(
                    id=a.question.id,
                    kind="won" if after else "lost",
                    source=a.question.source,
                    domain=a.question.domain,
                    first_answer=a.greedy.answer,
                    second_answer=b.greedy.answer,
                )
            )
    return found
