"""A search's questions as a mosaic: one cell each, coloured by how far its tree solves it, and the figure in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from webapp.jobs.models import Job
from webapp.trees.models import SearchQuestion, Tree

CELLS = 500
"""Of a page: what a browser lays out at once without a pause."""
_STATES = {
    SearchQuestion.State.WAITING.value: ("waiting", "·", "waits"),
    SearchQuestion.State.GROWING.value: ("growing", "…", "grows now"),
    SearchQuestion.State.FAILED.value: ("failed", "!", "has no tree: it failed"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One question. `tree` is none until its tree is stored."""

    position: int
    tree: UUID | None
    look: str
    """Class of its colour: `tone-0` to `tone-9`, or the state of a question without a tree."""
    figure: str
    words: str


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A page of cells in the order of the questions."""

    cells: list[Cell]
    first: int
    """Place of its first cell, from 0."""
    total: int
    before: int | None
    after: int | None

    @property
    def last(self) -> int:
        """Place of its last cell, counted from 1."""
        return self.first + len(self.cells)


def mosaic(*, job: Job, rows: QuerySet[Tree], total: int, whole: bool, counts: Mapping[str, int], first: int) -> Mosaic:
    """The page that begins at the place `first`. One query, and one more while questions have no tree.

    `rows` are the trees that are wanted and `total` how many; with `whole` they are a search's all, so that questions
    without a tree have cells too.
    """
    unfinished = whole and sum(counts.values()) > total
    total = max(total, sum(counts.values())) if whole else total
    first = max(0, min(first, total - 1)) // CELLS * CELLS
    columns = ("position", "pk", "solved", "right_answers", "wrong_answers", "question_id_text")
    if unfinished:
        trees = rows.filter(position__gte=first, position__lt=first + CELLS).order_by("position")
        cells = [_of_tree(*row) for row in trees.values_list(*columns)]
        done = {cell.position for cell in cells}
        waiting = SearchQuestion.objects.filter(job=job, position__gte=first, position__lt=first + CELLS)
        others = waiting.exclude(state=SearchQuestion.State.DONE).values_list("position", "state", "error_code")
        cells += [_without_tree(*other) for other in others if other[0] not in done]
        cells.sort(key=lambda cell: cell.position)
    else:
        cells = [_of_tree(*row) for row in rows.order_by("position").values_list(*columns)[first : first + CELLS]]
    return Mosaic(
        cells=cells,
        first=first,
        total=total,
        before=first - CELLS if first else None,
        after=first + CELLS if first + CELLS < total else None,
    )


def _of_tree(position: int, pk: UUID, solved: float, right: int, wrong: int, question: str) -> Cell:
    answers = f"{right} right and {wrong} wrong answer{'' if wrong == 1 else 's'}" if right or wrong else "no answer"
    tone = min(int(solved * 10), 9)
    return Cell(position, pk, f"tone-{tone}", f"{100 * solved:.0f}", f"{question}: {solved:.0%} solved, {answers}")


def _without_tree(position: int, state: str, code: str) -> Cell:
    look, figure, words = _STATES[state]
    return Cell(position, None, look, figure, f"Question {position + 1} {words}{f' ({code})' if code else ''}")
