"""Chooses training questions by source and difficulty: quotas per source, spread over bands of the pass rate.

A pure function of questions, pass rates, settings and seed; what could not be filled is reported, never hidden.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from meds3core.types.question import Question
from meds3core.types.record import Record


class CurriculumSettings(Record):
    """How a sample is put together."""

    count: int | None = Field(default=None, ge=1, description="Questions in all; None: as many as the quotas give")
    per_source: int | None = Field(default=None, ge=1, description="At most so many of one source")
    bands: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), description="Edges of the difficulty bands (difficulty = 1 − pass rate)"
    )
    shares: tuple[float, ...] | None = Field(
        default=None, description="Share of a source's quota for each band, easiest first; None: equal"
    )
    drop_solved: bool = Field(default=True, description="Leave out questions with pass rate 1")
    seed: int = 0

    @model_validator(mode="after")
    def _bands_rise(self) -> Self:
        if len(self.bands) < 2 or any(low >= high for low, high in pairwise(self.bands)):
            raise ValueError("bands must be at least two rising edges")
        if self.bands[0] > 0 or self.bands[-1] < 1:
            raise ValueError("bands must reach from 0 to 1")
        if self.shares is not None and (len(self.shares) != len(self.bands) - 1 or sum(self.shares) <= 0):
            raise ValueError(f"shares must be {len(self.bands) - 1} numbers with a positive sum, one for each band")
        if self.shares is not None and min(self.shares) < 0:
            raise ValueError("shares must not be negative")
        return self


class Shortfall(Record):
    """A quota that could not be filled from its own band; `moved` of it was taken from other bands."""

    source: str
    band: str
    wanted: int
    found: int


class CurriculumSample(Record):
    """The chosen questions in a seeded order, and what was left out or missing."""

    questions: tuple[Question, ...]
    solved_dropped: int
    unmeasured: int
    """Chosen questions without a pass rate."""
    shortfalls: tuple[Shortfall, ...]
    chosen: Mapping[str, int]
    """Source and band ("MedQA 0.25–0.5") → how many."""


UNMEASURED = "unmeasured"


def sample_curriculum(
    questions: Sequence[Question], pass_rates: Mapping[str, float], settings: CurriculumSettings
) -> CurriculumSample:
    """Fill the quotas. A question's rate is `pass_rates[id]`, else 1 − its stored difficulty, else unknown.

    Within a source every band gets its share; what a band lacks is taken from the source's other questions; what a
    source lacks of a total count is taken from the other sources. Which questions: those with the smallest hash of
    (seed, content), so that adding a source changes no other's choice.
    """
    pools, solved = _pools(questions, pass_rates, settings)
    quotas = _quotas({source: sum(map(len, bands.values())) for source, bands in pools.items()}, settings)
    chosen: list[tuple[str, str, Question]] = []
    shortfalls: list[Shortfall] = []
    for source in sorted(pools):
        chosen += _fill(source, pools[source], quotas[source], settings, shortfalls)
    if settings.count is not None and len(chosen) < settings.count:
        shortfalls.append(Shortfall(source="all", band="all", wanted=settings.count, found=len(chosen)))
    chosen.sort(key=lambda entry: _rank(entry[2], settings.seed, "order"))
    tally: dict[str, int] = {}
    for source, band, _ in chosen:
        tally[f"{source} {band}"] = tally.get(f"{source} {band}", 0) + 1
    return CurriculumSample(
        questions=tuple(question for _, _, question in chosen),
        solved_dropped=solved,
        unmeasured=sum(band == UNMEASURED for _, band, _ in chosen),
        shortfalls=tuple(shortfalls),
        chosen=dict(sorted(tally.items())),
    )


def band_names(settings: CurriculumSettings) -> list[str]:
    """The bands as they are reported, easiest first."""
    return [f"{low:g}–{high:g}" for low, high in pairwise(settings.bands)]


def _pools(
    questions: Sequence[Question], pass_rates: Mapping[str, float], settings: CurriculumSettings
) -> tuple[dict[str, dict[str, list[Question]]], int]:
    """Source → band → its questions in their seeded order; and how many solved ones were dropped."""
    pools: dict[str, dict[str, list[Question]]] = {}
    solved = 0
    for question in questions:
        rate = pass_rates.get(question.id)
        difficulty = question.difficulty if rate is None else 1.0 - rate
        if difficulty == 0.0 and settings.drop_solved:
            solved += 1
            continue
        if rate is not None:
            question = question.model_copy(update={"difficulty": difficulty})
        bands = pools.setdefault(question.source, {})
        bands.setdefault(_band(difficulty, settings), []).append(question)
    for bands in pools.values():
        for pool in bands.values():
            pool.sort(key=lambda question: _rank(question, settings.seed, "choice"))
    return pools, solved


def _band(difficulty: float | None, settings: CurriculumSettings) -> str:
    if difficulty is None:
        return UNMEASURED
    names = band_names(settings)
    below = sum(difficulty >= edge for edge in settings.bands[1:-1])
    return names[below]


def _quotas(available: Mapping[str, int], settings: CurriculumSettings) -> dict[str, int]:
    """How many questions each source gives: equal parts of the count, limited by `per_source` and what there is."""
    cap = {source: min(count, settings.per_source or count) for source, count in available.items()}
    if settings.count is None:
        return cap
    quotas = dict.fromkeys(cap, 0)
    left = settings.count
    while left and (open_sources := [source for source in sorted(cap) if quotas[source] < cap[source]]):
        part, extra = divmod(left, len(open_sources))
        for index, source in enumerate(open_sources):
            more = min(part + (index < extra), cap[source] - quotas[source])
            quotas[source] += more
            left -= more
    return quotas


def _fill(
    source: str,
    bands: Mapping[str, list[Question]],
    quota: int,
    settings: CurriculumSettings,
    shortfalls: list[Shortfall],
) -> list[tuple[str, str, Question]]:
    """A source's quota: each band its share first, then the rest from whatever is left."""
    names = band_names(settings)
    measured = any(name in bands for name in names)
    taken: list[tuple[str, str, Question]] = []
    left: list[tuple[str, str, Question]] = [(source, UNMEASURED, question) for question in bands.get(UNMEASURED, [])]
    for name, wanted in zip(names, _parts(quota, settings), strict=True):
        pool = bands.get(name, [])
        taken += [(source, name, question) for question in pool[:wanted]]
        left += [(source, name, question) for question in pool[wanted:]]
        if measured and len(pool) < wanted:
            shortfalls.append(Shortfall(source=source, band=name, wanted=wanted, found=len(pool)))
    left.sort(key=lambda entry: _rank(entry[2], settings.seed, "choice"))
    return taken + left[: quota - len(taken)]


def _parts(quota: int, settings: CurriculumSettings) -> list[int]:
    """The quota split by the shares; remainders go to the largest fractions, then the easier bands."""
    shares = settings.shares or (1.0,) * (len(settings.bands) - 1)
    exact = [quota * share / sum(shares) for share in shares]
    parts = [int(value) for value in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: quota - sum(parts)]:
        parts[index] += 1
    return parts


def _rank(question: Question, seed: int, purpose: str) -> bytes:
    """A pseudo-random position that depends on seed and content only; the id breaks ties between duplicates."""
    key = f"{seed}\0{purpose}\0{question.content_hash}\0{question.id}"
    return hashlib.blake2b(key.encode(), digest_size=16).digest()
