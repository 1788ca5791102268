"""Two evaluations side by side. What was computed is kept: resampling thousands of questions takes a second."""

from typing import TypeVar

from django.db import IntegrityError, transaction
from pydantic import ValidationError

from meds3core.evaluation.compare import Comparison, WayComparison, compare, compare_ways
from meds3core.evaluation.outcomes import Outcomes
from meds3core.evaluation.record import Evaluation as Figures
from meds3core.evaluation.record import read_figures
from webapp.common.files import Store, folder_of
from webapp.evaluations.index import Index, index_open
from webapp.evaluations.models import Evaluation, StoredComparison

FORMAT = "1"
"""Another one where what is computed changes: what was kept under the old one is then not read."""

Found = TypeVar("Found", Comparison, WayComparison)


def figures_of(evaluation: Evaluation) -> Figures:
    """The whole record of an evaluation. Raises `EvaluationFileError`."""
    return read_figures(folder_of(Store.EVALUATIONS, evaluation.pk))


def index_of(evaluation: Evaluation) -> Index:
    """The columns of its questions. Raises `EvaluationFileError`."""
    return index_open(folder_of(Store.EVALUATIONS, evaluation.pk))


def outcomes_of(evaluation: Evaluation) -> Outcomes:
    """How its questions came out. Raises `EvaluationFileError`."""
    return index_of(evaluation).outcomes(figures_of(evaluation))


def comparison_of(*, first: Evaluation, second: Evaluation, shared: bool = False) -> Comparison:
    """The second against the first, by every measure that both have.

    `shared`: on the questions both have. Raises `NotComparable` with its reasons, `EvaluationFileError`.
    """
    asked = f"{FORMAT} {'shared' if shared else 'all'}"
    kept = _kept(Comparison, first, second, asked)
    if kept is None:
        kept = compare(outcomes_of(first), outcomes_of(second), shared=shared)
        _keep(kept, first, second, asked)
    return kept


def way_comparison_of(
    *, first: Evaluation, second: Evaluation, first_way: str, second_way: str, shared: bool = False
) -> WayComparison:
    """One way to answer of the second against one of the first; of one evaluation, on the questions asked both ways.

    Raises `NotComparable`, `NotMeasured`, `EvaluationFileError`.
    """
    shared = shared or first.pk == second.pk
    asked = f"{FORMAT} {'shared' if shared else 'all'} {first_way[:120]} | {second_way[:120]}"
    kept = _kept(WayComparison, first, second, asked)
    if kept is None:
        kept = compare_ways(outcomes_of(first), outcomes_of(second), first_way, second_way, shared=shared)
        _keep(kept, first, second, asked)
    return kept


def _kept(kind: type[Found], first: Evaluation, second: Evaluation, asked: str) -> Found | None:
    row = StoredComparison.objects.filter(first=first, second=second, asked=asked).first()
    if row is None:
        return None
    try:
        return kind.model_validate(row.figures)
    except ValidationError:
        row.delete()
        return None


def _keep(found: Comparison | WayComparison, first: Evaluation, second: Evaluation, asked: str) -> None:
    figures = found.model_dump(mode="json")
    try:
        with transaction.atomic():
            StoredComparison.objects.create(first=first, second=second, asked=asked, figures=figures)
    except IntegrityError:
        return  # somebody else was as fast, or one of the two was deleted meanwhile
