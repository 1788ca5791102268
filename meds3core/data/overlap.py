"""Duplicates within a file, and training questions that overlap a benchmark (METHOD.md §7).

Three tests, from strict to loose: the same text; the same normal form; and n-gram containment, the share of the
shorter question's word n-grams that the longer one has. Options count as text. Only a benchmark (or the first part of
a file) is kept, as 64-bit hashes; what is compared with it may be a stream.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from meds3core.text.answers import normalise, tokens
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

OverlapKind = Literal["exact", "normalised", "n-gram"]


class OverlapSettings(Record):
    """When two questions count as overlapping."""

    n: int = Field(default=13, ge=2, le=50, description="Words of an n-gram; shorter questions are one n-gram")
    threshold: float = Field(default=0.5, gt=0.0, le=1.0, description="Containment from which questions overlap")


class Overlap(Record):
    """One question that overlaps an earlier one or a benchmark's."""

    id: str
    other: str
    other_source: str
    kind: OverlapKind
    containment: float = Field(ge=0.0, le=1.0)


class OverlapReport(Record):
    """All overlaps found, and how many questions were looked at."""

    checked: int
    overlaps: tuple[Overlap, ...]

    @property
    def by_kind(self) -> dict[str, int]:
        """Count of overlaps of each kind."""
        counts = dict.fromkeys(("exact", "normalised", "n-gram"), 0)
        for overlap in self.overlaps:
            counts[overlap.kind] += 1
        return counts

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the overlapping questions, to be dropped."""
        return frozenset(overlap.id for overlap in self.overlaps)


class QuestionIndex:
    """Questions by hash of text, of normal form and of n-grams; about 2 kB for each.

    An n-gram that stands in more than 3 and more than 1% of the questions is boilerplate (a shared instruction, "which
    of the following …") and counts for nothing.
    """

    def __init__(self, settings: OverlapSettings | None = None) -> None:
        self.settings = settings or OverlapSettings()
        self._names: list[tuple[str, str]] = []
        self._exact: dict[int, int] = {}
        self._normal: dict[int, int] = {}
        self._hashes: list[tuple[int, int]] = []
        self._shingles: list[array[int]] = []
        self._where: dict[int, int | list[int]] = {}
        self._sizes: list[int] | None = None

    def __len__(self) -> int:
        return len(self._names)

    @property
    def ngrams(self) -> int:
        """How many different n-grams are remembered."""
        return len(self._where)

    def add(self, question: OpenQuestion) -> None:
        """Remember a question."""
        number = len(self._names)
        self._names.append((question.id, question.source))
        exact, normal = _hash(question.text), _hash(normalise(question.text))
        self._hashes.append((exact, normal))
        repeated = normal in self._normal
        self._exact.setdefault(exact, number)
        self._normal.setdefault(normal, number)
        # A repetition must not turn its own n-grams into boilerplate; its first occurrence stands for it.
        shingles = array("Q", () if repeated else sorted(self._cut(question.text)))
        self._shingles.append(shingles)
        for shingle in shingles:
            known = self._where.get(shingle)
            if known is None:
                self._where[shingle] = number
            elif isinstance(known, int):
                self._where[shingle] = [known, number]
            else:
                known.append(number)
        self._sizes = None

    def find(self, question: OpenQuestion) -> Overlap | None:
        """The strictest overlap of a question with those remembered."""
        hashes = _hash(question.text), _hash(normalise(question.text))
        return self._match(question.id, hashes, self._cut(question.text), len(self._names))

    def duplicates(self) -> tuple[Overlap, ...]:
        """The remembered questions that repeat an earlier one."""
        found = (
            self._match(self._names[number][0], self._hashes[number], self._shingles[number], number)
            for number in range(len(self._names))
        )
        return tuple(overlap for overlap in found if overlap)

    def _match(self, name: str, hashes: tuple[int, int], shingles: Iterable[int], before: int) -> Overlap | None:
        """The strictest overlap with one of the first `before` questions."""
        exact, normal = self._exact.get(hashes[0]), self._normal.get(hashes[1])
        if exact is not None and exact < before:
            return self._overlap(name, exact, "exact", 1.0)
        if normal is not None and normal < before:
            return self._overlap(name, normal, "normalised", 1.0)
        sizes = self._telling_sizes()
        shared: dict[int, int] = {}
        size = 0
        for shingle in shingles:
            others = self._others(shingle)
            if len(others) > self._boilerplate:
                continue
            size += 1
            for other in others:
                if other < before:
                    shared[other] = shared.get(other, 0) + 1
        best = max(((count / min(size, sizes[other]), -other) for other, count in shared.items()), default=None)
        if best is None or best[0] < self.settings.threshold:
            return None
        return self._overlap(name, -best[1], "n-gram", min(1.0, best[0]))

    @property
    def _boilerplate(self) -> int:
        return max(3, len(self._names) // 100)

    def _others(self, shingle: int) -> Sequence[int]:
        known = self._where.get(shingle)
        return () if known is None else (known,) if isinstance(known, int) else known

    def _telling_sizes(self) -> list[int]:
        """How many n-grams of each question are no boilerplate."""
        if self._sizes is None:
            limit = self._boilerplate
            self._sizes = [
                sum(len(self._others(shingle)) <= limit for shingle in shingles) for shingles in self._shingles
            ]
        return self._sizes

    def _overlap(self, name: str, number: int, kind: OverlapKind, share: float) -> Overlap:
        other, source = self._names[number]
        return Overlap(id=name, other=other, other_source=source, kind=kind, containment=share)

    def _cut(self, text: str) -> set[int]:
        words, n = tokens(text), self.settings.n
        return {_hash(" ".join(words[start : start + n])) for start in range(max(1, len(words) - n + 1))}


def find_duplicates(questions: Iterable[OpenQuestion], settings: OverlapSettings | None = None) -> OverlapReport:
    """Questions that repeat an earlier one of the same sequence."""
    index = QuestionIndex(settings)
    for question in questions:
        index.add(question)
    return OverlapReport(checked=len(index), overlaps=index.duplicates())


def find_overlap(questions: Iterable[OpenQuestion], benchmark: QuestionIndex) -> OverlapReport:
    """Questions that overlap one of a benchmark's; may be a stream."""
    found, checked = [], 0
    for question in questions:
        checked += 1
        overlap = benchmark.find(question)
        if overlap:
            found.append(overlap)
    return OverlapReport(checked=checked, overlaps=tuple(found))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
