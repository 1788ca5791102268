"""Duplicates within a file, and training questions that overlap a benchmark (METHOD.md §7).

Three tests, from strict to loose: the same text; the same normal form; and n-gram containment, the share of the
shorter question's word n-grams that the longer one has. Options count as text. One pass over each file; n-grams are
kept as 64-bit hashes.
"""

import hashlib
from array import array
from collections.abc import Iterable
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
    """The questions met so far, by hash of text, of normal form and of n-grams."""

    def __init__(self, settings: OverlapSettings | None = None) -> None:
        self.settings = settings or OverlapSettings()
        self._names: list[tuple[str, str]] = []
        self._sizes = array("L")
        self._exact: dict[int, int] = {}
        self._normal: dict[int, int] = {}
        self._grams: dict[int, int | list[int]] = {}

    def add(self, question: OpenQuestion) -> None:
        """Remember a question."""
        number = len(self._names)
        self._names.append((question.id, question.source))
        self._exact.setdefault(_hash(question.text), number)
        self._normal.setdefault(_hash(normalise(question.text)), number)
        grams = self._shingles(question.text)
        self._sizes.append(len(grams))
        for gram in grams:
            known = self._grams.get(gram)
            if known is None:
                self._grams[gram] = number
            elif isinstance(known, int):
                self._grams[gram] = [known, number]
            elif len(known) < 64:
                known.append(number)

    def find(self, question: OpenQuestion) -> Overlap | None:
        """The strictest overlap of a question with those remembered."""
        number = self._exact.get(_hash(question.text))
        if number is not None:
            return self._overlap(question, number, "exact", 1.0)
        number = self._normal.get(_hash(normalise(question.text)))
        if number is not None:
            return self._overlap(question, number, "normalised", 1.0)
        grams = self._shingles(question.text)
        shared: dict[int, int] = {}
        for gram in grams:
            known = self._grams.get(gram)
            for other in (known,) if isinstance(known, int) else known or ():
                shared[other] = shared.get(other, 0) + 1
        best = max(
            ((count / min(len(grams), self._sizes[other]), -other) for other, count in shared.items()), default=None
        )
        if best is None or best[0] < self.settings.threshold:
            return None
        return self._overlap(question, -best[1], "n-gram", min(1.0, best[0]))

    def _overlap(self, question: OpenQuestion, number: int, kind: OverlapKind, share: float) -> Overlap:
        other, source = self._names[number]
        return Overlap(id=question.id, other=other, other_source=source, kind=kind, containment=share)

    def _shingles(self, text: str) -> set[int]:
        words, n = tokens(text), self.settings.n
        return {_hash(" ".join(words[start : start + n])) for start in range(max(1, len(words) - n + 1))}


def find_duplicates(questions: Iterable[OpenQuestion], settings: OverlapSettings | None = None) -> OverlapReport:
    """Questions that repeat an earlier one of the same sequence."""
    index, found, checked = QuestionIndex(settings), [], 0
    for question in questions:
        checked += 1
        overlap = index.find(question)
        if overlap:
            found.append(overlap)
        index.add(question)
    return OverlapReport(checked=checked, overlaps=tuple(found))


def find_overlap(questions: Iterable[OpenQuestion], benchmark: QuestionIndex) -> OverlapReport:
    """Questions that overlap one of a benchmark's."""
    found, checked = [], 0
    for question in questions:
        checked += 1
        overlap = benchmark.find(question)
        if overlap:
            found.append(overlap)
    return OverlapReport(checked=checked, overlaps=tuple(found))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
