"""Figures on pages: shares as percents, never without their interval."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import PairedDifference, p_text
from meds3core.report.wording import percent, points

register = template.Library()


@register.simple_tag
def figure(estimate: Any) -> SafeString:
    """An estimate (`value`, `low`, `high` between 0 and 1) as percents; "not measured" where there is none."""
    if not isinstance(estimate, dict) or "value" not in estimate:
        return format_html('<span class="text-secondary">{}</span>', "not measured")
    return interval(estimate["value"], estimate["low"], estimate["high"])


@register.simple_tag
def interval(value: float, low: float, high: float) -> SafeString:
    """A share with its interval, as percents."""
    shown = [f"{100 * each:.1f}" for each in (value, low, high)]
    return format_html('{}% <span class="text-secondary small">[{}, {}]</span>', *shown)


@register.filter
def share(value: float | None, digits: int = 1) -> str:
    """A share as percents: "62.5%", `|share:0` "63%"; a dash where nobody knows."""
    return "–" if value is None else f"{value:.{digits}%}"


@register.filter
def strategy(key: dict[str, Any]) -> str:
    """A way to answer (`meds3core.evaluation.selection.StrategyKey`) as reports call it."""
    parts = [str(key.get("strategy", ""))]
    if key.get("aggregator") not in (None, "outcome"):
        parts.append(str(key["aggregator"]))
    if key.get("scorer"):
        parts.append(f"({key['scorer']})")
    return f"{' '.join(parts)} @{key.get('n', 1)}"


@register.filter
def percent_of(estimate: Estimate | None) -> str:
    """An estimate as reports write it: "56.0% [53.1, 58.9]"."""
    return percent(estimate)


@register.filter
def points_of(found: PairedDifference | None) -> str:
    """A difference as reports write it: "+16.0 [+13.1, +18.9], p < 0.001"."""
    return points(found)


@register.filter
def p_of(p: float) -> str:
    """A p-value as reports write it."""
    return p_text(p)
