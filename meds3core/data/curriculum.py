"""Chooses training questions by group (source, domain) and difficulty: quotas per group, spread over bands of the pass
rate.

A pure function of questions, pass rates, settings and seed; what could not be filled is reported, never hidden.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from meds3core.types.question import Question
from meds3core.types.record import Record

Grouping = Literal["source", "domain", "source-domain"]


class CurriculumSettings(Record):
    """How a sample is put together."""

    count: int | None = Field(default=None, ge=1, description="Questions in all; None: as many as the quotas give")
    per_source: int | None = Field(default=None, ge=1, description="At most so many of one source (or other group)")
    group_by: Grouping = Field(default="source", description="What a quota is for")
    quotas: tuple[tuple[str, int], ...] = Field(
        default=(), max_length=500, description="Group, at most so many of it; before `per_source`. 0 leaves it out"
    )
    bands: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), description="Edges of the difficulty bands (difficulty = 1 − pass rate)"
    )
    shares: tuple[float, ...] | None = Field(
        default=None, description="Share of a group's quota for each band, easiest first; None: equal"
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

    @model_validator(mode="after")
    def _quotas_count(self) -> Self:
        if any(most < 0 for _, most in self.quotas):
            raise ValueError("quotas must not be negative")
        if len(dict(self.quotas)) < len(self.quotas):
            raise ValueError("a group has two quotas")
        return self


class Candidate(Protocol):
    """What a choice looks at; a `Question`, or a light stand-in for one of a million."""

    @property
    def id(self) -> str:
        """Of the question, as in the pass rates."""

    @property
    def source(self) -> str:
        """Data set of origin."""

    @property
    def domain(self) -> str:
        """Kind of question."""

    @property
    def difficulty(self) -> float | None:
        """1 − pass rate, where measured."""

    @property
    def content_hash(self) -> str:
        """Decides, with the seed, which ones are chosen."""


class Shortfall(Record):
    """A quota that could not be filled from its own band; `moved` of it was taken from other bands."""

    source: str
    band: str
    wanted: int
    found: int


class Chosen(Record):
    """One candidate of the sample, by its place among the candidates."""

    index: int
    group: str
    band: str
    difficulty: float | None


class CurriculumChoice(Record):
    """Which candidates, in a seeded order, and what was left out or missing."""

    chosen: tuple[Chosen, ...]
    solved_dropped: int
    shortfalls: tuple[Shortfall, ...]


class CurriculumSample(Record):
    """The chosen questions in a seeded order, and what was left out or missing."""

    questions: tuple[Question, ...]
    solved_dropped: int
    unmeasured: int
    """Chosen questions without a pass rate."""
    shortfalls: tuple[Shortfall, ...]
    chosen: Mapping[str, int]
    """Group and band ("MedQA 0.25–0.5") → how many."""


class GroupPlan(Record):
    """What a group would give: of each band its share, and `filled` more from whatever is left of it."""

    group: str
    available: Mapping[str, int]
    quota: int
    by_band: Mapping[str, int]
    filled: int


class CurriculumPlan(Record):
    """How many questions a choice would give, told from counts alone."""

    groups: tuple[GroupPlan, ...]
    total: int
    shortfalls: tuple[Shortfall, ...]


UNMEASURED = "unmeasured"


def sample_curriculum(
    questions: Sequence[Question], pass_rates: Mapping[str, float], settings: CurriculumSettings
) -> CurriculumSample:
    """The questions that `choose_curriculum` chooses, each with its difficulty."""
    choice = choose_curriculum(questions, pass_rates, settings)
    tally: dict[str, int] = {}
    for one in choice.chosen:
        tally[f"{one.group} {one.band}"] = tally.get(f"{one.group} {one.band}", 0) + 1
    return CurriculumSample(
        questions=tuple(
            questions[one.index]
            if pass_rates.get(questions[one.index].id) is None
            else questions[one.index].model_copy(update={"difficulty": one.difficulty})
            for one in choice.chosen
        ),
        solved_dropped=choice.solved_dropped,
        unmeasured=sum(one.band == UNMEASURED for one in choice.chosen),
        shortfalls=choice.shortfalls,
        chosen=dict(sorted(tally.items())),
    )


def choose_curriculum(
    candidates: Sequence[Candidate], pass_rates: Mapping[str, float], settings: CurriculumSettings
) -> CurriculumChoice:
    """Fill the quotas. A question's rate is `pass_rates[id]`, else 1 − its stored difficulty, else unknown.

    Within a group every band gets its share; what a band lacks is taken from the group's other questions; what a
    group lacks of a total count is taken from the other groups. Which questions: those with the smallest hash of
    (seed, content), so that adding a group changes no other's choice.
    """
    pools, solved = _pools(candidates, pass_rates, settings)
    quotas = _quotas({group: sum(map(len, bands.values())) for group, bands in pools.items()}, settings)
    chosen: list[Chosen] = []
    shortfalls: list[Shortfall] = []
    for group in sorted(pools):
        chosen += _fill(candidates, group, pools[group], quotas[group], settings, shortfalls)
    if settings.count is not None and len(chosen) < settings.count:
        shortfalls.append(Shortfall(source="all", band="all", wanted=settings.count, found=len(chosen)))
    chosen.sort(key=lambda one: _rank(candidates[one.index], settings.seed, "order"))
    return CurriculumChoice(chosen=tuple(chosen), solved_dropped=solved, shortfalls=tuple(shortfalls))


def plan_curriculum(available: Mapping[str, Mapping[str, int]], settings: CurriculumSettings) -> CurriculumPlan:
    """The numbers of a choice from group → band (or `UNMEASURED`) → count of questions, solved ones left out."""
    quotas = _quotas({group: sum(bands.values()) for group, bands in available.items()}, settings)
    names = band_names(settings)
    groups, shortfalls = [], []
    for group in sorted(available):
        bands, quota = available[group], quotas[group]
        wanted = dict(zip(names, _parts(quota, settings), strict=True))
        own = {name: min(bands.get(name, 0), wanted[name]) for name in names}
        if any(bands.get(name) for name in names):
            shortfalls += [
                Shortfall(source=group, band=name, wanted=wanted[name], found=bands.get(name, 0))
                for name in names
                if bands.get(name, 0) < wanted[name]
            ]
        filled = min(quota, sum(bands.values())) - sum(own.values())
        groups.append(GroupPlan(group=group, available=bands, quota=quota, by_band=own, filled=filled))
    total = sum(one.filled + sum(one.by_band.values()) for one in groups)
    if settings.count is not None and total < settings.count:
        shortfalls.append(Shortfall(source="all", band="all", wanted=settings.count, found=total))
    return CurriculumPlan(groups=tuple(groups), total=total, shortfalls=tuple(shortfalls))


def band_names(settings: CurriculumSettings) -> list[str]:
    """The bands as they are reported, easiest first."""
    return [f"{low:g}–{high:g}" for low, high in pairwise(settings.bands)]


def band_of(difficulty: float | None, settings: CurriculumSettings) -> str:
    """The band that a difficulty lies in, or `UNMEASURED`."""
    if difficulty is None:
        return UNMEASURED
    names = band_names(settings)
    below = sum(difficulty >= edge for edge in settings.bands[1:-1])
    return names[below]


def group_of(source: str, domain: str, settings: CurriculumSettings) -> str:
    """The group whose quota a question falls under."""
    match settings.group_by:
        case "source":
            return source
        case "domain":
            return domain
        case "source-domain":
            return f"{source} / {domain}"


def _pools(
    candidates: Sequence[Candidate], pass_rates: Mapping[str, float], settings: CurriculumSettings
) -> tuple[dict[str, dict[str, list[Chosen]]], int]:
    """Group → band → its candidates in their seeded order; and how many solved ones were dropped."""
    pools: dict[str, dict[str, list[Chosen]]] = {}
    solved = 0
    for index, candidate in enumerate(candidates):
        rate = pass_rates.get(candidate.id)
        difficulty = candidate.difficulty if rate is None else 1.0 - rate
        if difficulty == 0.0 and settings.drop_solved:
            solved += 1
            continue
        group, band = group_of(candidate.source, candidate.domain, settings), band_of(difficulty, settings)
        bands = pools.setdefault(group, {})
        bands.setdefault(band, []).append(Chosen(index=index, group=group, band=band, difficulty=difficulty))
    for bands in pools.values():
        for pool in bands.values():
            pool.sort(key=lambda one: _rank(candidates[one.index], settings.seed, "choice"))
    return pools, solved


def _quotas(available: Mapping[str, int], settings: CurriculumSettings) -> dict[str, int]:
    """How many questions each group gives: equal parts of the count, limited by its quota and what there is."""
    named = dict(settings.quotas)
    most = {group: named.get(group, settings.per_source) for group in available}
    cap = {group: count if (limit := most[group]) is None else min(count, limit) for group, count in available.items()}
    if settings.count is None:
        return cap
    quotas = dict.fromkeys(cap, 0)
    left = settings.count
    while left and (open_groups := [group for group in sorted(cap) if quotas[group] < cap[group]]):
        part, extra = divmod(left, len(open_groups))
        for index, group in enumerate(open_groups):
            more = min(part + (index < extra), cap[group] - quotas[group])
            quotas[group] += more
            left -= more
    return quotas


def _fill(
    candidates: Sequence[Candidate],
    group: str,
    bands: Mapping[str, list[Chosen]],
    quota: int,
    settings: CurriculumSettings,
    shortfalls: list[Shortfall],
) -> list[Chosen]:
    """A group's quota: each band its share first, then the rest from whatever is left."""
    names = band_names(settings)
    measured = any(name in bands for name in names)
    taken: list[Chosen] = []
    left: list[Chosen] = list(bands.get(UNMEASURED, []))
    for name, wanted in zip(names, _parts(quota, settings), strict=True):
        pool = bands.get(name, [])
        taken += pool[:wanted]
        left += pool[wanted:]
        if measured and len(pool) < wanted:
            shortfalls.append(Shortfall(source=group, band=name, wanted=wanted, found=len(pool)))
    left.sort(key=lambda one: _rank(candidates[one.index], settings.seed, "choice"))
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


def _rank(question: Candidate, seed: int, purpose: str) -> bytes:
    """A pseudo-random position that depends on seed and content only; the id breaks ties between duplicates."""
    key = f"{seed}\0{purpose}\0{question.content_hash}\0{question.id}"
    return hashlib.blake2b(key.encode(), digest_size=16).digest()
