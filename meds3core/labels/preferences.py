"""Preference pairs for DPO: level, finish and sibling pairs (METHOD.md §3).

A pair is a shared prefix up to the lowest common ancestor and two continuations of it. Steps cut by the token limit
are in no pair: what was cut is not what the policy would have said.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from meds3core.config.labels import PairLabelConfig
from meds3core.labels.base import Tally
from meds3core.labels.prefix import prefix_hash
from meds3core.labels.reading import TreeReading
from meds3core.types.labels import PairKind, PreferencePair

CONTINUED = "pairs of which one continues the other"
SAME = "pairs that say the same twice"
ASTRAY = "pairs whose chosen side states a wrong answer on its way"
REPEATED = "pairs found before"


def too_many(kind: PairKind) -> str:
    """Reason of the pairs beyond the limit."""
    return f"{kind} pairs beyond those of greatest margin (max_pairs)"


def none_found(kind: PairKind) -> str:
    """Reason of a question that has no pair of a kind."""
    gap = "sibling_gap" if kind is PairKind.SIBLING else "gap"
    return f"questions without two {kind} continuations that differ enough ({gap})"


@dataclass(frozen=True, slots=True, order=True)
class _Found:
    """Two nodes of one tree; the order is that of choice: greatest margin first, then in order of creation."""

    minus_margin: float
    tree: int
    chosen: int
    rejected: int


def preference_pairs(readings: Sequence[TreeReading], config: PairLabelConfig, dropped: Tally) -> list[PreferencePair]:
    """The pairs of one question, from all its trees: per kind the `max_pairs` of greatest margin.

    A pair that two kinds or two trees find is kept once.
    """
    pairs: list[PreferencePair] = []
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for kind in dict.fromkeys(config.kinds):
        found = sorted(
            _Found(-margin, index, chosen, rejected)
            for index, reading in enumerate(readings)
            for margin, chosen, rejected in FINDERS[kind](reading, config)
        )
        if not found:
            dropped[none_found(kind)] += 1
        kept = 0
        for rank, candidate in enumerate(found):
            if kept == config.max_pairs:
                dropped[too_many(kind)] += len(found) - rank
                break
            pair = _pair(kind, readings[candidate.tree], candidate, dropped)
            if pair is None:
                continue
            key = (pair.prefix + pair.chosen, pair.prefix + pair.rejected)
            if key in seen:
                dropped[REPEATED] += 1
                continue
            seen.add(key)
            pairs.append(pair)
            kept += 1
    return pairs


def level_pairs(reading: TreeReading, config: PairLabelConfig) -> Iterator[tuple[float, int, int]]:
    """Margin, chosen and rejected of nodes at one depth under different parents, each parent with two children or more.

    Example (gap 0.8): parents P and Q with children of values P: 0.95, 0.1 and Q: 0.05, 0.5. Of the four pairs across
    parents only 0.95 − 0.05 = 0.9 exceeds the gap.
    """
    families = [0] * len(reading.parents)
    for parent in reading.parents[1:]:
        families[parent] += 1
    levels: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for value, node in _valued(reading):
        if families[reading.parents[node]] >= 2:
            levels[reading.depths[node]].append((value, node))
    for level in levels.values():
        level.sort()
        for high, chosen in reversed(level):
            for low, rejected in level:
                if high - low <= config.gap:
                    break
                if reading.parents[chosen] != reading.parents[rejected]:
                    yield high - low, chosen, rejected


def finish_pairs(reading: TreeReading, config: PairLabelConfig) -> Iterator[tuple[float, int, int]]:
    """Margin and leaves of a right and a wrong trajectory whose minima differ by more than the gap.

    A wrong leaf has value 0, so the margin is the minimum of the right path: it never fell to the gap.
    """
    weakest = {node: reading.weakest(node) for node in reading.finished()}
    wrong = [node for node in weakest if not reading.verdicts[node]]
    for chosen, high in weakest.items():
        if reading.verdicts[chosen]:
            for rejected in wrong:
                if high - weakest[rejected] > config.gap:
                    yield high - weakest[rejected], chosen, rejected


def sibling_pairs(reading: TreeReading, config: PairLabelConfig) -> Iterator[tuple[float, int, int]]:
    """Margin and nodes of the best and the worst child of each parent, if they differ by more than `sibling_gap`."""
    families: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for value, node in _valued(reading):
        families[reading.parents[node]].append((value, node))
    for family in families.values():
        high, chosen = max(family, key=lambda child: (child[0], -child[1]))
        low, rejected = min(family)
        if high - low > config.sibling_gap:
            yield high - low, chosen, rejected


FINDERS: dict[PairKind, Callable[[TreeReading, PairLabelConfig], Iterator[tuple[float, int, int]]]] = {
    PairKind.LEVEL: level_pairs,
    PairKind.FINISH: finish_pairs,
    PairKind.SIBLING: sibling_pairs,
}


def _valued(reading: TreeReading) -> Iterator[tuple[float, int]]:
    """Values and ids of the nodes that can stand in a level or sibling pair."""
    for node, value in enumerate(reading.values):
        if node and value is not None and node not in reading.truncated:
            yield value, node


def _pair(kind: PairKind, reading: TreeReading, found: _Found, dropped: Tally) -> PreferencePair | None:
    shared = len(reading.path(reading.common_ancestor(found.chosen, found.rejected)))
    above, below = reading.path(found.chosen), reading.path(found.rejected)
    chosen, rejected = reading.bodies(above[shared:]), reading.bodies(below[shared:])
    if not chosen or not rejected:
        dropped[CONTINUED] += 1
        return None
    if chosen == rejected:
        dropped[SAME] += 1
        return None
    if any(reading.verdicts[node] is False for node in above[shared:]):
        dropped[ASTRAY] += 1
        return None
    prefix = reading.bodies(above[:shared])
    return PreferencePair(
        kind=kind,
        question=reading.question,
        prefix=prefix,
        chosen=chosen,
        rejected=rejected,
        chosen_finished=reading.answered[found.chosen],
        rejected_finished=reading.answered[found.rejected],
        margin=-found.minus_margin,
        chosen_node=found.chosen,
        rejected_node=found.rejected,
        prefix_hash=prefix_hash(reading.question, prefix),
        origin=reading.origin,
    )
