"""Filters of pages about trees and labels."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def share(fraction: float | None) -> str:
    """A share of one as whole percents; a dash where nobody knows."""
    return "–" if fraction is None else f"{fraction:.0%}"


@register.filter
def spaced(name: str) -> str:
    """A setting's name in words."""
    return name.replace("_", " ").capitalize()


@register.filter
def plain(value: Any) -> str:
    """A setting's value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
