"""How figures are written in reports: percent, points, intervals, p-values."""

from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import PairedDifference, p_text
from meds3core.report.charts import WhiskerRow

NOTHING = "–"
MET = {True: "met", False: "not met", None: "not measured"}
"""How it is said whether a figure that was wanted came out."""


def percent(estimate: Estimate | None) -> str:
    """`56.0% [53.1, 58.9]`."""
    if estimate is None:
        return NOTHING
    return f"{100 * estimate.value:.1f}% [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def plain(estimate: Estimate | None, digits: int = 3) -> str:
    """`0.856 [0.840, 0.872]`, for figures that are no shares."""
    if estimate is None:
        return NOTHING
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def amount(estimate: Estimate) -> str:
    """`61.2 [59.8, 62.7]`, for counts such as tokens."""
    return plain(estimate, 1)


def points(found: PairedDifference | None) -> str:
    """`+16.0 [+13.1, +18.9], p < 0.001`, in percentage points."""
    if found is None:
        return NOTHING
    difference = found.difference
    return f"{_signed(difference.value)} [{_signed(difference.low)}, {_signed(difference.high)}], {p_text(found.p)}"


def share_row(name: str, estimate: Estimate, hint: str = "") -> WhiskerRow:
    """A share for a table of intervals."""
    return WhiskerRow(
        name=name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        figure=percent(estimate),
        hint=hint or f"{name}: {percent(estimate)}, n = {estimate.n:,}",
    )


def difference_row(name: str, found: PairedDifference, runs: tuple[float, ...] = ()) -> WhiskerRow:
    """A difference for a table of intervals, coloured where the interval leaves zero out."""
    difference = found.difference
    tone = "better" if difference.low > 0 else "worse" if difference.high < 0 else ""
    return WhiskerRow(
        name=name,
        value=difference.value,
        low=difference.low,
        high=difference.high,
        figure=points(found),
        hint=f"{name}: {points(found)}, n = {difference.n:,}",
        tone=tone,
        dots=runs,
    )


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
