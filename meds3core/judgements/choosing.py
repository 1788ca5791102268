"""Chooses the steps of a queue: each rule gets its share, best priority first, not too many of one question."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from meds3core.judgements.flagging import (
    Booleans,
    FlagRules,
    Floats,
    Integers,
    Rule,
    Steps,
    expected_information,
    matching,
)

_ORDER = (Rule.RANDOM, *(rule for rule in Rule if rule is not Rule.RANDOM))
"""Random ones are drawn first, from all steps: what is said of them says something about all."""

_AT_A_TIME = 4_096


@dataclass(frozen=True, slots=True)
class Pool:
    """N things to choose from, steps or trajectories: their question, what each rule finds, what each is worth."""

    question: Integers
    """(N,) Equal numbers: things of one question."""
    found: Mapping[Rule, Booleans]
    priority: Floats

    def __len__(self) -> int:
        return len(self.question)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen: places (K,), the rule that chose each, the priority of each (K,), in the order of choice."""

    places: Integers
    rules: tuple[Rule, ...]
    priorities: Floats
    found: Mapping[Rule, int]
    """How many each rule finds, chosen or not."""

    def counts(self) -> dict[Rule, int]:
        """How many each rule chose."""
        counted = Counter(self.rules)
        return {rule: counted[rule] for rule in Rule}


def steps_pool(steps: Steps, rules: FlagRules) -> Pool:
    """Steps to choose from; their worth is `expected_information`."""
    return Pool(
        steps.question,
        matching(steps, rules),
        expected_information(steps.value, steps.drop, steps.rollouts, steps.score),
    )


def paths_pool(pool: Pool, paths: Sequence[Integers], right: Booleans) -> Pool:
    """Trajectories to choose from, each the places of its steps in a pool: a rule finds one in which it finds a step.

    One is worth what its most telling step is; `right` (P,) says which end in the right answer.
    """
    length = [len(path) for path in paths]
    steps = np.concatenate([*paths, np.zeros(0, dtype=np.int64)])
    starts = np.cumsum([0, *length[:-1]])[: len(paths)]

    def along(column: Booleans | Floats) -> npt.NDArray[Any]:
        return np.maximum.reduceat(column[steps], starts) if len(paths) else column[:0]

    found = {rule: along(mask).astype(bool) for rule, mask in pool.found.items()}
    found[Rule.BAD_IN_RIGHT] = found[Rule.BAD_IN_RIGHT] & right
    return Pool(pool.question[steps[starts]], found, along(pool.priority))


def choose(pool: Pool, rules: FlagRules, *, items: int, seed: int) -> Choice:
    """Up to `items` of a pool. The same arguments choose the same.

    Shares become whole numbers by largest remainder. A rule takes, of those that it finds and that are not taken, the
    ones of highest priority; equal ones in an order of chance. What is left over goes to what any rule with a share
    finds, then, if random ones have a share, to chance.
    """
    shares = rules.shares
    found = pool.found
    by_chance = np.random.default_rng(seed).permutation(len(pool))
    by_worth = by_chance[np.argsort(-pool.priority[by_chance], kind="stable")]
    basket = _Basket(pool.question, items, rules.most_per_question)
    for rule in _ORDER:
        order = by_chance if rule is Rule.RANDOM else by_worth
        basket.fill(_in(order, found[rule]), rule, _quotas(shares, items)[rule])
    wanted = [rule for rule in Rule if shares[rule] and rule is not Rule.RANDOM]
    if wanted:
        reason = np.full(len(pool), -1)
        for number in reversed(range(len(wanted))):
            reason[found[wanted[number]]] = number
        for place in _in(by_worth, reason >= 0):
            basket.fill((place,), wanted[reason[place]], 1)
            if basket.is_full:
                break
    if shares[Rule.RANDOM]:
        basket.fill(_in(by_chance, found[Rule.RANDOM]), Rule.RANDOM, items)
    places = np.array(basket.places, dtype=np.int64)
    counts = {rule: int(found[rule].sum()) for rule in Rule}
    return Choice(places, tuple(basket.rules), np.asarray(pool.priority[places]), counts)


class _Basket:
    def __init__(self, question: Integers, size: int, most_per_question: int) -> None:
        self._question, self._size, self._most = question, size, most_per_question
        self._of_question: Counter[int] = Counter()
        self._taken: set[int] = set()
        self.places: list[int] = []
        self.rules: list[Rule] = []

    @property
    def is_full(self) -> bool:
        return len(self.places) >= self._size

    def fill(self, places: Iterable[int], rule: Rule, most: int) -> None:
        """Take up to `most` of these places, in their order."""
        for place in places:
            if most <= 0 or self.is_full:
                return
            asked = int(self._question[place])
            if place in self._taken or self._of_question[asked] >= self._most:
                continue
            self._taken.add(place)
            self._of_question[asked] += 1
            self.places.append(place)
            self.rules.append(rule)
            most -= 1


def _quotas(shares: Mapping[Rule, float], items: int) -> dict[Rule, int]:
    exact = {rule: shares[rule] * items for rule in Rule}
    whole = {rule: int(exact[rule]) for rule in Rule}
    rest = items - sum(whole.values()) if any(exact.values()) else 0
    for rule in sorted(Rule, key=lambda each: whole[each] - exact[each])[:rest]:
        whole[rule] += 1
    return whole


def _in(order: Integers, mask: Booleans) -> Iterator[int]:
    """A few at a time: of hundreds of thousands the first ones are taken."""
    for start in range(0, len(order), _AT_A_TIME):
        some = order[start : start + _AT_A_TIME]
        yield from some[mask[some]].tolist()
