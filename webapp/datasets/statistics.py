"""What a version is made of: counted once, when it is finished, from one pass over its rows."""

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from meds3core.data.check import quantiles
from meds3core.data.overlap import OverlapKind
from meds3core.types.question import Question
from meds3core.types.record import Record
from webapp.datasets.models import DatasetVersion, QuestionRow

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text. Given by a worker, which may have a tokenizer; the web process has none."""

NAMED = 100
"""Sources and domains that are counted by name; those beyond count together."""
OTHERS = "(others)"
READ = 1000
OVERLAPS = 50


class VersionOverlap(Record):
    """How many questions of a version stand in another one too, word by word."""

    version: UUID
    name: str
    """The other version as it was called then."""
    same_dataset: bool
    system: bool
    """A benchmark that came with the instance."""
    questions: int


class TokenCounts(Record):
    """Quantiles of the questions' lengths in a model's tokens."""

    tokenizer: str
    """The model's name."""
    lengths: Mapping[str, int]


class Alike(Record):
    """A question that is much like another one."""

    position: int
    other: str
    """Id of the other one."""
    other_version: str
    """Where it stands; empty: earlier in the same version."""
    kind: OverlapKind
    containment: float


class CheckedAgainst(Record):
    """How many questions of a version are much like one of another version."""

    version: UUID | None
    """None: an earlier question of the version itself."""
    name: str
    by_kind: Mapping[str, int]


class DatasetCheck(Record):
    """What a check of a version found (the job kind `dataset-check`)."""

    job: UUID
    made: datetime
    n: int
    threshold: float
    against: tuple[CheckedAgainst, ...]
    alike: tuple[Alike, ...]
    """The first ones."""


class Statistics(Record):
    """Of one version. Difficulty bands are quarters, easiest first, then those without a measured one."""

    questions: int = 0
    sources: Mapping[str, int] = {}
    domains: Mapping[str, int] = {}
    answer_kinds: Mapping[str, int] = {}
    difficulties: Mapping[str, int] = {}
    characters: Mapping[str, int] = {}
    words: Mapping[str, int] = {}
    tokens: Mapping[str, int] = {}
    tokenizer: str = ""
    """Whose tokens; empty: not counted."""
    total_characters: int = 0
    duplicates: int = 0
    """Questions that repeat an earlier one of the version word by word, with the same way to answer."""
    overlaps: tuple[VersionOverlap, ...] = ()
    counted: datetime | None = None
    check: DatasetCheck | None = None


@dataclass(frozen=True)
class Counted:
    """Statistics of a version and the hash of its content."""

    statistics: Statistics
    content_hash: str


BANDS = ("0–0.25", "0.25–0.5", "0.5–0.75", "0.75–1", "not measured")


def statistics_of(version: DatasetVersion) -> Statistics:
    """As stored; empty for a version that is not finished."""
    known = {name: value for name, value in version.statistics.items() if name in Statistics.model_fields}
    return Statistics.model_validate(known)


def content_hash_of(questions: Iterable[Question]) -> str:
    """Over the whole records in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for question in questions:
        digest.update(_canonical(question.model_dump(mode="json")))
    return digest.hexdigest()


def version_statistics(*, version: DatasetVersion, count_tokens: CountTokens | None = None) -> Counted:
    """Read all rows once and count; with `count_tokens` the tokens too."""
    rows = QuestionRow.objects.filter(version=version)
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("sources", "domains", "answer_kinds")}
    bands: Counter[str] = Counter()
    characters, words, tokens = array("q"), array("q"), array("q")
    digest = hashlib.blake2b(digest_size=16)
    waiting: list[str] = []
    columns = ("source", "domain", "answer_kind", "difficulty", "record")
    for source, domain, kind, difficulty, record in (
        rows.order_by("position").values_list(*columns).iterator(chunk_size=READ)
    ):
        text = record["text"]
        counts["sources"][source] += 1
        counts["domains"][domain] += 1
        counts["answer_kinds"][kind] += 1
        bands[band_of(difficulty)] += 1
        characters.append(len(text))
        words.append(len(text.split()))
        digest.update(_canonical(record))
        if count_tokens is not None:
            waiting.append(text)
            if len(waiting) == READ:
                tokens.extend(count_tokens(waiting))
                waiting.clear()
    if count_tokens is not None and waiting:
        tokens.extend(count_tokens(waiting))
    statistics = Statistics(
        questions=len(characters),
        difficulties={name: bands[name] for name in BANDS if bands[name]},
        characters=quantiles(characters),
        words=quantiles(words),
        tokens=quantiles(tokens),
        total_characters=sum(characters),
        duplicates=len(characters) - rows.values("content_hash").distinct().count(),
        overlaps=overlaps_by_hash(version=version),
        counted=timezone.now(),
        **{name: _named(counter) for name, counter in counts.items()},
    )
    return Counted(statistics, digest.hexdigest())


def overlaps_by_hash(*, version: DatasetVersion) -> tuple[VersionOverlap, ...]:
    """The team's other versions and the system's benchmarks that share questions with it, most shared first."""
    theirs = Q(team=version.team_id) | Q(team__is_system=True)
    others = DatasetVersion.objects.filter(theirs, ready=True, deleted=None).exclude(pk=version.pk)
    hashes = QuestionRow.objects.filter(version=version).values("content_hash")
    shared = (
        QuestionRow.objects.filter(version__in=others, content_hash__in=hashes)
        .order_by()
        .values("version")
        .annotate(count=Count("content_hash", distinct=True))
        .order_by("-count", "version")[:OVERLAPS]
    )
    counts = {row["version"]: row["count"] for row in shared}
    known = DatasetVersion.objects.select_related("dataset", "team").in_bulk(list(counts))
    return tuple(
        VersionOverlap(
            version=key,
            name=str(known[key]),
            same_dataset=known[key].dataset_id == version.dataset_id,
            system=known[key].team.is_system,
            questions=count,
        )
        for key, count in counts.items()
        if key in known
    )


def band_of(difficulty: float | None) -> str:
    """The name of the quarter that a difficulty lies in."""
    return BANDS[-1] if difficulty is None else BANDS[min(3, int(difficulty * 4))]


def _named(counter: Counter[str]) -> dict[str, int]:
    common = dict(counter.most_common(NAMED))
    rest = counter.total() - sum(common.values())
    return common | ({OTHERS: rest} if rest else {})


def _canonical(record: Any) -> bytes:
    return json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
