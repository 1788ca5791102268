"""Searches in numbers: totals and distributions over any of their trees, in one query however many there are."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.cache import cache
from django.db.models import QuerySet

from webapp.common.columns import columns_read, seconds_of
from webapp.jobs.models import Job
from webapp.jobs.transitions import ENDED
from webapp.trees.models import Tree
from webapp.trees.tallies import tally_sum

BINS = 10
KEPT_SECONDS = 24 * 3600
SPANS = 24
"""Spans of time of which a search's throughput is shown."""
_COLUMNS = (
    *("solved", "right_answers", "nodes", "depth", "rollouts", "generated_tokens", "stop_reason", "source", "domain"),
    "tally",
)


@dataclass(frozen=True, slots=True)
class Bin:
    """Trees whose rollouts lie between two numbers, both included."""

    low: int
    high: int
    trees: int


@dataclass(frozen=True, slots=True)
class Span:
    """Trees stored in a stretch of time, which begins so many seconds after the first tree."""

    begins: float
    trees: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """How many trees were stored when. `seconds` is the length of each span."""

    seconds: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """Some trees of a search in numbers."""

    trees: int
    nodes: int
    rollouts: int
    generated_tokens: int
    solved: int
    """Trees that hold a right answer."""
    mean_depth: float
    mean_solved: float
    stop_reasons: Mapping[str, int]
    """Most frequent first."""
    solved_bins: tuple[int, ...]
    """Trees by tenth of their solved fraction; the last bin includes 1."""
    values: tuple[int, ...]
    """Nodes by tenth of their value; the last bin includes 1. Roots and nodes without a value are left out."""
    depths: tuple[int, ...]
    """Nodes by depth from 1 on."""
    rollout_bins: tuple[Bin, ...]
    """Trees by how many rollouts they cost."""
    throughput: Throughput | None
    """None for a few trees, or where all were stored at once."""
    sources: tuple[str, ...]
    domains: tuple[str, ...]


def tree_figures(rows: QuerySet[Tree]) -> SearchFigures:
    """Of these trees. One query; ten thousand trees take some tens of milliseconds."""
    found = columns_read(rows.order_by(), _COLUMNS, moment="created")
    if not found:
        return SearchFigures(0, 0, 0, 0, 0, 0.0, 0.0, {}, (0,) * BINS, (0,) * BINS, (), (), None, (), ())
    solved, right, nodes, depth, rollouts, tokens, reasons, sources, domains, tallies, created = zip(
        *found, strict=True
    )
    count = len(found)
    tally = tally_sum(tallies)
    return SearchFigures(
        trees=count,
        nodes=sum(nodes),
        rollouts=sum(rollouts),
        generated_tokens=sum(tokens),
        solved=len(right) - right.count(0),
        mean_depth=sum(depth) / count,
        mean_solved=sum(solved) / count,
        stop_reasons=dict(sorted(Counter(reasons).items(), key=lambda pair: (-pair[1], pair[0]))),
        solved_bins=_tenths(solved),
        values=tally.values,
        depths=tally.depths,
        rollout_bins=_rollout_bins(rollouts),
        throughput=_throughput(created),
        sources=tuple(sorted(filter(None, set(sources)))),
        domains=tuple(sorted(filter(None, set(domains)))),
    )


def kept_figures(rows: QuerySet[Tree], *, job: Job, wanted: str) -> SearchFigures:
    """The same of a search. One that is over never changes, so what was found of it is kept a while.

    `wanted` tells these trees from others of the search.
    """
    if job.state not in ENDED or job.ended is None:
        return tree_figures(rows)
    which = hashlib.blake2b(wanted.encode(), digest_size=16).hexdigest()
    key = f"search-figures:{job.pk}:{job.attempt}:{job.ended.timestamp()}:{which}"
    found: SearchFigures | None = cache.get(key)
    if found is None:
        found = tree_figures(rows)
        cache.set(key, found, KEPT_SECONDS)
    return found


def _tenths(solved: Sequence[float]) -> tuple[int, ...]:
    places = np.minimum((np.asarray(solved) * BINS).astype(int), BINS - 1)
    return tuple(np.bincount(places, minlength=BINS).tolist())


def _rollout_bins(rollouts: Sequence[int]) -> tuple[Bin, ...]:
    low, high = min(rollouts), max(rollouts)
    width = max(1, math.ceil((high - low + 1) / BINS))
    counts = np.bincount((np.asarray(rollouts) - low) // width).tolist()
    return tuple(
        Bin(low + number * width, low + (number + 1) * width - 1, count) for number, count in enumerate(counts)
    )


def _throughput(created: Sequence[Any]) -> Throughput | None:
    moments = seconds_of(created)
    first, whole = float(moments.min()), float(np.ptp(moments))
    if len(moments) < 3 or whole < 1:
        return None
    length = whole / SPANS
    counts, _ = np.histogram(moments - first, bins=SPANS, range=(0.0, whole))
    spans = enumerate(counts.tolist())
    return Throughput(length, tuple(Span(number * length, count) for number, count in spans))
