"""Filters of pages about jobs."""

from datetime import datetime, timedelta
from typing import Any

from django import template

from webapp.jobs import standing
from webapp.jobs.models import Job, State

register = template.Library()


@register.filter
def tone(state: str) -> str:
    """The colour of a state's badge."""
    return standing.TONES[State(state)]


@register.filter
def state_word(state: str) -> str:
    """A state as people call it."""
    return str(State(state).label)


@register.filter
def kind_word(kind: str) -> str:
    """A kind of job as people call it."""
    return standing.kind_label(kind)


@register.filter
def standing_of(job: Job) -> standing.Standing:
    """Progress in words."""
    return standing.standing_of(job)


@register.filter
def at(table: dict[str, Any], key: str) -> Any:
    """The value of a table at a key that a variable holds."""
    return table.get(key, 0)


@register.filter
def ago(moment: datetime | None) -> str:
    """How long ago, or nothing."""
    return standing.ago(moment) if moment else ""


@register.filter
def span_to(start: datetime | None, end: datetime | None) -> str:
    """How long from one moment to the other."""
    return standing.span(end - start) if start and end else ""


@register.filter
def percent(fraction: float | None) -> str:
    """A share of one as whole percents."""
    return "" if fraction is None else f"{fraction:.0%}"


@register.filter
def mebibytes(size: Any) -> str:
    """A number of MiB, as GiB when it is large."""
    if not isinstance(size, int | float):
        return ""
    return f"{size / 1024:.0f} GiB" if size >= 1024 else f"{size:.0f} MiB"


@register.filter
def seconds(number: Any) -> str:
    """A number of seconds as people say it."""
    return standing.span(timedelta(seconds=float(number))) if isinstance(number, int | float) else ""


@register.filter
def amount(number: Any) -> str:
    """A number that is not known exactly: two digits, the rest rounded."""
    if not isinstance(number, int | float):
        return ""
    digits = max(0, len(f"{int(number)}") - 2)
    return f"{round(int(number), -digits):,}"
