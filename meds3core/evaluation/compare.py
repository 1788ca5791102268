"""Two evaluations on the same questions: what changed, where, and whether it could be chance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from meds3core.config.evaluation import EvaluationConfig
from meds3core.evaluation.comparability import pair
from meds3core.evaluation.intervals import Floats, Integers, Resampling
from meds3core.evaluation.outcomes import CHOSEN, GREEDY, NotMeasured, Outcomes, outcomes_of
from meds3core.evaluation.paired import McNemar, PairedDifference, mcnemar, paired_differences
from meds3core.evaluation.record import StoredEvaluation
from meds3core.types.record import Record


class MeasureDifference(Record):
    """One measure on both sides, second minus first."""

    name: str
    difference: PairedDifference
    mcnemar: McNemar | None = Field(default=None, description="Where a question's outcome is right or not")


class Change(Record):
    """A question on which the two disagree. `kind`: won, where the second is right rather than the first; lost else."""

    id: str
    kind: Literal["won", "lost"]
    source: str
    domain: str
    first_answer: str | None = Field(description="Greedy")
    second_answer: str | None = Field(description="Greedy")
    first_place: int = Field(default=0, ge=0, description="Of the question in the first evaluation, from 0")
    second_place: int = Field(default=0, ge=0)
    first_right: float = Field(default=0.0, ge=0.0, le=1.0, description="Expected correctness")
    second_right: float = Field(default=0.0, ge=0.0, le=1.0)


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
    changes: tuple[Change, ...] = Field(default=(), description="Greedy")


class WayComparison(Record):
    """One way to answer of the second evaluation against one of the first."""

    questions: int
    notes: tuple[str, ...] = ()
    measure: MeasureDifference
    changes: tuple[Change, ...] = ()


def compare(
    first: StoredEvaluation | Outcomes, second: StoredEvaluation | Outcomes, *, shared: bool = False
) -> Comparison:
    """Every measure that both have, paired by question.

    `shared`: on the questions both have. Raises `NotComparable` with the reasons (`comparability`). Greedy answers
    and samples may stand on different questions, so each is matched by itself.
    """
    one, other = _columns(first), _columns(second)
    greedy = _pair(one, other, ~np.isnan(one.greedy), ~np.isnan(other.greedy), shared)
    sampled = _pair(one, other, _sampled(one), _sampled(other), shared)
    measures = _Measures(other.evaluation.config)
    found_greedy = measures.add(GREEDY, one.greedy, other.greedy, greedy)
    sound = measures.add("every step and the answer right", one.sound, other.sound, greedy)
    chosen = None
    if one.evaluation.selection is not None and other.evaluation.selection is not None and len(sampled):
        before, after = one.label_of(CHOSEN), other.label_of(CHOSEN)
        name = after if before == after else f"{before} → {after}"
        chosen = measures.add(name, one.by(CHOSEN), other.by(CHOSEN), sampled)
    labels = [label for label in one.labels if label in other.labels] if len(sampled) else []
    strategies = [measures.add(label, one.by(label), other.by(label), sampled) for label in labels]
    by_domain = sorted({one.domains[place] for place in greedy.first})
    domains = [
        measures.add(domain or "not named", one.greedy, other.greedy, greedy.of_domain(one, domain))
        for domain in (by_domain if len(by_domain) > 1 else ())
    ]
    known = measures.computed()
    return Comparison(
        first=one.evaluation.policy,
        second=other.evaluation.policy,
        questions=len(greedy) or len(sampled),
        notes=tuple(dict.fromkeys((*greedy.notes, *sampled.notes))),
        greedy=known[found_greedy],
        sound=known[sound],
        chosen=known[chosen],
        strategies=tuple(_present(known[number] for number in strategies)),
        domains=tuple(_present(known[number] for number in domains)),
        changes=_changes(one, other, one.greedy, other.greedy, greedy),
    )


def compare_ways(
    first: StoredEvaluation | Outcomes,
    second: StoredEvaluation | Outcomes,
    first_way: str = GREEDY,
    second_way: str = GREEDY,
    *,
    shared: bool = False,
) -> WayComparison:
    """One way to answer (`outcomes`) against another, of two evaluations or of one.

    Raises `NotComparable`, and `NotMeasured` where a side has no outcomes by its way on any question of both.
    """
    one, other = _columns(first), _columns(second)
    before, after = one.by(first_way), other.by(second_way)
    pairs = _pair(one, other, ~np.isnan(before), ~np.isnan(after), shared)
    names = (one.label_of(first_way), other.label_of(second_way))
    measures = _Measures(other.evaluation.config)
    number = measures.add(names[0] if names[0] == names[1] else " → ".join(names), before, after, pairs)
    measure = measures.computed()[number]
    if measure is None:
        raise NotMeasured(f"no question was answered by {names[0]} in the first and by {names[1]} in the second")
    return WayComparison(
        questions=len(pairs),
        notes=pairs.notes,
        measure=measure,
        changes=_changes(one, other, before, after, pairs),
    )


@dataclass(frozen=True)
class _Pairs:
    """Places of the same questions in both evaluations."""

    first: Integers
    second: Integers
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.first)

    def of_domain(self, one: Outcomes, domain: str) -> "_Pairs":
        """Those of a domain."""
        members = np.array([one.domains[place] == domain for place in self.first], dtype=bool)
        return _Pairs(self.first[members], self.second[members])


@dataclass
class _Measures:
    """Gathers what is to be compared, so that measures over as many questions are resampled together."""

    config: EvaluationConfig
    _asked: list[tuple[str, Floats, Floats]] = field(default_factory=list)

    def add(self, name: str, first: Floats, second: Floats, pairs: _Pairs) -> int | None:
        """A measure by its values on both sides; its number, or None where no question of both has values."""
        before, after = first[pairs.first], second[pairs.second]
        known = ~np.isnan(before) & ~np.isnan(after)
        if not known.any():
            return None
        self._asked.append((name, before[known], after[known]))
        return len(self._asked) - 1

    def computed(self) -> dict[int | None, MeasureDifference | None]:
        """All of them by number; None for none."""
        config = self.config
        options = Resampling(level=config.level, resamples=config.p_resamples, seed=config.seed)
        by_size: dict[int, list[int]] = {}
        for number, (_, before, _) in enumerate(self._asked):
            by_size.setdefault(len(before), []).append(number)
        found: dict[int | None, MeasureDifference | None] = {None: None}
        for numbers in by_size.values():
            sides = [np.stack([self._asked[number][side] for number in numbers], axis=1) for side in (1, 2)]
            for number, difference in zip(numbers, paired_differences(*sides, **options), strict=True):
                name, before, after = self._asked[number]
                certain = bool(np.isin(before, (0.0, 1.0)).all() and np.isin(after, (0.0, 1.0)).all())
                found[number] = MeasureDifference(
                    name=name, difference=difference, mcnemar=mcnemar(before, after) if certain else None
                )
        return found


def _columns(given: StoredEvaluation | Outcomes) -> Outcomes:
    return given if isinstance(given, Outcomes) else outcomes_of(given)


def _sampled(outcomes: Outcomes) -> npt.NDArray[np.bool_]:
    """(Q,) whether a question has samples."""
    if not outcomes.labels:
        return np.zeros(len(outcomes.questions), dtype=bool)
    return np.asarray((~np.isnan(outcomes.strategies)).any(axis=0))


def _pair(
    one: Outcomes, other: Outcomes, has: npt.NDArray[np.bool_], other_has: npt.NDArray[np.bool_], shared: bool
) -> _Pairs:
    """The questions of both that have something, matched. Nothing where one side has none of it."""
    here, there = np.flatnonzero(has), np.flatnonzero(other_has)
    if not len(here) or not len(there):
        nothing = np.zeros(0, dtype=np.int64)
        return _Pairs(nothing, nothing)
    pairing = pair(one.basis(here.tolist()), other.basis(there.tolist()), shared=shared)
    places = np.array(pairing.pairs, dtype=np.int64).reshape(-1, 2)
    return _Pairs(here[places[:, 0]], there[places[:, 1]], pairing.notes)


def _present(found: Iterable[MeasureDifference | None]) -> Sequence[MeasureDifference]:
    return [each for each in found if each is not None]


def _changes(one: Outcomes, other: Outcomes, first: Floats, second: Floats, pairs: _Pairs) -> tuple[Change, ...]:
    found = []
    for here, there in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        before, after = float(first[here]), float(second[there])
        if before != after and not np.isnan(before) and not np.isnan(after):
            question = one.questions[here]
            found.append(
                Change(
                    id=question.id,
                    kind="won" if after > before else "lost",
                    source=question.source,
                    domain=one.domains[here],
                    first_answer=one.answers[here],
                    second_answer=other.answers[there],
                    first_place=here,
                    second_place=there,
                    first_right=before,
                    second_right=after,
                )
            )
    return tuple(found)
