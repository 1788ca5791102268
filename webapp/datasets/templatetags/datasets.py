"""Tags of the pages of datasets."""

from collections.abc import Mapping
from typing import Any

from django import template

from webapp.datasets.statistics import BANDS
from webapp.datasets.views.questions import NONE

register = template.Library()

_BANDS = {name: name.replace("–", "-") for name in BANDS} | {BANDS[-1]: "none"}


@register.filter
def most(counts: Mapping[str, int], size: int) -> list[tuple[str, int]]:
    """The first so many of some counts: `{% for name, count in counts|most:12 %}`."""
    return list(counts.items())[:size]


@register.filter
def at_key(values: Mapping[str, Any], key: str) -> Any:
    """The value of a key; empty where there is none."""
    return values.get(key, "")


@register.filter
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@register.filter
def filter_value(name: str, field: str) -> str:
    """A name of the statistics as the question browser's filter takes it."""
    return _BANDS[name] if field == "difficulty" else name or NONE
