"""Figures on pages: shares as percents, never without their interval."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

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
def share(value: float | None) -> str:
    """A share as percents."""
    return "" if value is None else f"{value:.1%}"


@register.filter
def strategy(key: dict[str, Any]) -> str:
    """A way to answer (`meds3core.evaluation.selection.StrategyKey`) as reports call it."""
    parts = [str(key.get("strategy", ""))]
    if key.get("aggregator") not in (None, "outcome"):
        parts.append(str(key["aggregator"]))
    if key.get("scorer"):
        parts.append(f"({key['scorer']})")
    return f"{' '.join(parts)} @{key.get('n', 1)}"
