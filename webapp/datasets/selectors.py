"""Reads of datasets, versions and questions. Views and API get them from here and nowhere else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Min, QuerySet
from django.http import Http404

from meds3core.types.question import Question
from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.datasets.models import Dataset, DatasetVersion, QuestionRow, RejectedRow
from webapp.datasets.search import SHORTEST, looked_through, matching
from webapp.datasets.statistics import statistics_of
from webapp.jobs.models import Job, JobInput
from webapp.trees.models import Tree

ROWS_COUNTED = 10_000
"""Questions that meet a filter are counted so far: "10,000+"."""
MATCHES_COUNTED = 1_000
"""The same for a search in texts, which must look at each."""
ROWS_LOOKED_THROUGH = 10_000
"""Questions that one page of a search goes through row by row: at first, as a frequent text fills the page so; and
at most, where no index helps: for parts shorter than three characters."""


def datasets_of(*, team: Team) -> QuerySet[Dataset]:
    """The team's datasets and the system's benchmarks."""
    return Dataset.objects.filter(theirs(team), deleted=None).select_related("team", "created_by")


def dataset_for(*, team: Team, dataset_id: UUID, own: bool = False) -> Dataset:
    """One of them; `own`: not the system's. Raises `Http404`, be it another team's or nobody's."""
    rows = datasets_of(team=team)
    found = (rows.filter(team=team) if own else rows).filter(pk=dataset_id).first()
    if found is None:
        raise Http404("There is no such dataset, or it belongs to another team.")
    return found


def versions_of(*, team: Team) -> QuerySet[DatasetVersion]:
    """Versions that the team sees, those that are still written too."""
    rows = DatasetVersion.objects.filter(theirs(team), deleted=None, dataset__deleted=None)
    return rows.select_related("dataset", "team", "job", "parent__dataset")


def version_for(*, team: Team, version_id: UUID, own: bool = False, ready: bool = False) -> DatasetVersion:
    """One of them; `own`: not the system's; `ready`: finished. Raises `Http404`."""
    rows = versions_of(team=team)
    if own:
        rows = rows.filter(team=team)
    if ready:
        rows = rows.filter(ready=True)
    found = rows.filter(pk=version_id).first()
    if found is None:
        raise Http404("There is no such dataset, or it belongs to another team.")
    return found


def newest_versions(*, datasets: list[Dataset]) -> dict[UUID, list[DatasetVersion]]:
    """The versions of some datasets, newest first, by dataset."""
    found: dict[UUID, list[DatasetVersion]] = {each.pk: [] for each in datasets}
    rows = DatasetVersion.objects.filter(dataset__in=datasets, deleted=None).defer("statistics", "recipe")
    for version in rows.order_by("-number"):
        found[version.dataset_id].append(version)
    return found


def jobs_using(*, team: Team, versions: list[DatasetVersion], size: int = 20) -> list[Job]:
    """The team's latest jobs whose specification names one of these versions."""
    keys = [version.pk for version in versions]
    ids = JobInput.objects.filter(kind="dataset", thing__in=keys, job__team=team).values("job")
    return list(Job.objects.filter(pk__in=ids).order_by("-id").defer("spec", "result")[:size])


def children_of(*, team: Team, version: DatasetVersion, size: int = 20) -> list[DatasetVersion]:
    """Versions that were made from this one."""
    return list(versions_of(team=team).filter(parent=version).order_by("-id").defer("statistics")[:size])


def version_usable(team: Team, version_id: UUID) -> bool:
    """Whether a job of the team may read this version: ready, and its own or the system team's."""
    rows = DatasetVersion.objects.filter(theirs(team), pk=version_id, ready=True, deleted=None)
    return rows.filter(dataset__deleted=None).exists()


def versions_to_choose(*, team: Team, size: int = 500) -> list[tuple[str, str]]:
    """For a form: id and name of every finished version that the team may use, newest first."""
    rows = versions_of(team=team).filter(ready=True).order_by("-id")[:size]
    names = rows.values_list("pk", "dataset__name", "number", "questions", "team__is_system")
    return [
        (str(pk), f"{name} v{number} ({count:,} questions{', bundled' if bundled else ''})")
        for pk, name, number, count, bundled in names
    ]


# --- questions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuestionFilter:
    """Which questions of a version are looked for; empty: all. A difficulty band is "low-high", or "none"."""

    text: str = ""
    source: str | None = None
    domain: str | None = None
    answer_kind: str = ""
    difficulty: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether every question meets it."""
        return self == QuestionFilter()


@dataclass(frozen=True)
class QuestionPage:
    """Some questions in their order, the positions to go on from on both sides, and how many meet the filter."""

    rows: list[QuestionRow]
    before: int | None
    after: int | None
    count: int
    count_is_least: bool
    """Whether there may be more than `count`."""


def questions_matching(*, version: DatasetVersion, wanted: QuestionFilter) -> QuerySet[QuestionRow]:
    """The questions of a version that meet the filter, in no order."""
    return matching(_with_columns(version, wanted), version_id=version.pk, text=wanted.text)


def _with_columns(version: DatasetVersion, wanted: QuestionFilter) -> QuerySet[QuestionRow]:
    """Those that meet all of it but the text."""
    rows = QuestionRow.objects.filter(version=version)
    if wanted.source is not None:
        rows = rows.filter(source=wanted.source)
    if wanted.domain is not None:
        rows = rows.filter(domain=wanted.domain)
    if wanted.answer_kind:
        rows = rows.filter(answer_kind=wanted.answer_kind)
    if wanted.difficulty == "none":
        rows = rows.filter(difficulty=None)
    elif wanted.difficulty:
        low, high = difficulty_band(wanted.difficulty)
        rows = rows.filter(difficulty__gte=low)
        rows = rows.filter(difficulty__lte=high) if high >= 1 else rows.filter(difficulty__lt=high)
    return rows


@dataclass(frozen=True)
class _Turn:
    """Which page: the one after a position, the one before it, or the first; and how many questions are on it."""

    after: int | None
    before: int | None
    size: int

    def stretch(self, version: DatasetVersion) -> range:
        """The positions that are looked through row by row."""
        if self.before is not None:
            return range(max(0, self.before - ROWS_LOOKED_THROUGH), self.before)
        start = 0 if self.after is None else self.after + 1
        return range(start, min(version.questions, start + ROWS_LOOKED_THROUGH))

    def page(self, rows: QuerySet[QuestionRow]) -> tuple[list[QuestionRow], int | None, int | None]:
        """The rows of the page in their order, and the positions to go on from before and after it."""
        shown = rows.defer("folded")
        if self.before is not None:
            found = list(shown.filter(position__lt=self.before).order_by("-position")[: self.size + 1])
            more_before, more_after = len(found) > self.size, True
            found = found[self.size - 1 :: -1] if more_before else found[::-1]
        else:
            ahead = shown.filter(position__gt=self.after) if self.after is not None else shown
            found = list(ahead.order_by("position")[: self.size + 1])
            more_before, more_after = self.after is not None, len(found) > self.size
            found = found[: self.size]
        first = found[0].position if found and more_before else None
        last = found[-1].position if found and more_after else None
        return found, first, last


def questions_page(
    *,
    version: DatasetVersion,
    wanted: QuestionFilter,
    after: int | None = None,
    before: int | None = None,
    size: int = 50,
) -> QuestionPage:
    """Those after (or before) a position, in the order of the version.

    A frequent text fills the page from the next stretch; a seldom one is left to the index, where it is long enough.
    """
    turn, text = _Turn(after, before, size), wanted.text.strip()
    if not text:
        return _page_of_all(version, wanted, turn)
    stretch = turn.stretch(version)
    order = "-position" if before is not None else "position"
    near = _with_columns(version, wanted).filter(position__gte=stretch.start, position__lt=stretch.stop)
    keys = looked_through(near.order_by(order)[:ROWS_LOOKED_THROUGH], text=text, most=max(MATCHES_COUNTED, size) + 1)
    if len(text) >= SHORTEST and len(keys) <= size and len(stretch) < version.questions:
        return _page_of_all(version, wanted, turn)
    return _page_of_stretch(version, stretch, keys, turn)


def _page_of_all(version: DatasetVersion, wanted: QuestionFilter, turn: _Turn) -> QuestionPage:
    """A page of all that meet the filter."""
    rows = questions_matching(version=version, wanted=wanted)
    found, first, last = turn.page(rows)
    if wanted.is_empty:
        return QuestionPage(found, first, last, version.questions, count_is_least=False)
    most = MATCHES_COUNTED if wanted.text.strip() else ROWS_COUNTED
    count = rows.order_by()[: most + 1].count()
    return QuestionPage(found, first, last, min(count, most), count_is_least=count > most)


def _page_of_stretch(version: DatasetVersion, stretch: range, keys: list[int], turn: _Turn) -> QuestionPage:
    """A page of the rows with these keys, found in a stretch. Outside nobody looked: one goes on there."""
    found, first, last = turn.page(QuestionRow.objects.filter(pk__in=keys[: turn.size + 1]))
    if turn.before is None and last is None and stretch.stop < version.questions:
        last = stretch.stop - 1
    if turn.before is not None and first is None and stretch.start > 0:
        first = stretch.start
    is_least = len(keys) > MATCHES_COUNTED or len(stretch) < version.questions
    return QuestionPage(found, first, last, min(len(keys), MATCHES_COUNTED), is_least)


def difficulty_band(text: str) -> tuple[float, float]:
    """The edges of a band written "0.25-0.5". Raises `Http404` for what is none."""
    low, _, high = text.partition("-")
    try:
        edges = float(low), float(high)
    except ValueError:
        raise Http404("no such band of difficulty") from None
    if not 0 <= edges[0] < edges[1] <= 1:
        raise Http404("no such band of difficulty")
    return edges


def question_at(*, version: DatasetVersion, position: int) -> QuestionRow:
    """The question at a position, from 0. Raises `Http404`."""
    found = QuestionRow.objects.filter(version=version, position=position).first()
    if found is None:
        raise Http404("There is no such question.")
    return found


def questions_of(*, version_id: UUID, limit: int | None = None) -> Iterator[Question]:
    """The questions of a version in their order, read in batches; the first `limit` of them."""
    rows = QuestionRow.objects.filter(version=version_id).order_by("position").values_list("record", flat=True)
    for record in rows[:limit].iterator(chunk_size=500):
        yield Question.model_validate(record)


def rows_by_content(*, version_id: UUID, hashes: Sequence[str]) -> dict[str, int]:
    """Row of each of these contents (`Question.content_hash`) that the version has."""
    found: dict[str, int] = {}
    for start in range(0, len(hashes), 500):
        some = QuestionRow.objects.filter(version=version_id, content_hash__in=hashes[start : start + 500])
        found.update(some.values_list("content_hash", "pk"))
    return found


def duplicates_of(*, version: DatasetVersion, size: int = 50) -> list[list[QuestionRow]]:
    """Groups of questions of a version with the same content, by the first one's position; the first `size` groups."""
    if not statistics_of(version).duplicates:
        return []
    rows = QuestionRow.objects.filter(version=version)
    hashes = rows.values("content_hash").annotate(times=Count("pk"), first=Min("position")).filter(times__gt=1)
    order = [row["content_hash"] for row in hashes.order_by("first")[:size]]
    groups: dict[str, list[QuestionRow]] = {each: [] for each in order}
    for row in rows.filter(content_hash__in=order).order_by("position"):
        groups[row.content_hash].append(row)
    return [group[:20] for group in groups.values()]


def rejections_of(*, version: DatasetVersion, after: int = 0, size: int = 100) -> list[RejectedRow]:
    """Rows of the file that are no question, in their order, behind row `after`."""
    return list(RejectedRow.objects.filter(version=version, row__gt=after).order_by("row")[:size])


def trees_about(*, team: Team, row: QuestionRow, size: int = 20) -> list[Tree]:
    """The team's trees of a question, also of the same question in another version, newest first."""
    return list(
        Tree.objects.filter(team=team, question_hash=row.content_hash)
        .select_related("job")
        .defer("arena")
        .order_by("-id")[:size]
    )
