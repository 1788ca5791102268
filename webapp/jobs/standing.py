"""How a job stands, in words: what pages, sockets and mails show of it. Ids, numbers and names, no content."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from webapp.jobs.kinds import KINDS
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import LIVE

TONES: Mapping[State, str] = {
    State.QUEUED: "azure",
    State.RUNNING: "blue",
    State.PAUSING: "yellow",
    State.PAUSED: "yellow",
    State.CANCELLING: "yellow",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.CANCELLED: "secondary",
}
"""The colour of each state's badge."""

MAY: Mapping[str, frozenset[State]] = {
    "pause": frozenset({State.QUEUED, State.RUNNING}),
    "resume": frozenset({State.PAUSED}),
    "cancel": frozenset({State.QUEUED, State.RUNNING, State.PAUSING, State.PAUSED}),
    "retry": frozenset({State.FAILED, State.CANCELLED}),
    "again": frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
}
"""In which states a person may ask for what."""

ADVICE: Mapping[str, str] = {
    "worker-lost": "Its workers vanished again and again: the machine went down, lost the network, or ran out of "
    "memory. See that the workers stay up, then retry; it goes on from its last checkpoint.",
    "crashed": "Its process died again and again, most often for want of memory. Try smaller batches or fewer trees at "
    "once, or a larger machine, then retry.",
    "too-long": "It was worked on for longer than jobs of its kind may be. A retry gives it as long again and goes on "
    "from its last checkpoint; an operator can allow more for good.",
    "missing-extra": "A part that this kind of job needs is not installed on the workers. Tell the operator.",
    "error": "Something broke on our side; its log says where. Retry once; if it breaks again, tell the operator.",
    "engine": "The model could not be run. Look at the log, then retry.",
    "job": "What the job refers to cannot be used any more. Submit a new one with what there is.",
    "policy": "The model's files cannot be used. Choose another model, or import this one again.",
    "config": "Two of its settings do not go together. Submit a new one with other settings.",
    "empty-label-set": "Its trees and settings leave nothing to learn from. Submit a new one with more questions, or "
    "with the settings in brackets changed: those of that kind of labels, such as a smaller gap of pairs. A loop can "
    "also leave preference training out.",
    "context-overflow": "A question is longer than the model can read. Choose shorter questions or another model.",
}
"""What to do, by error code. The message of the error itself says what happened."""


@dataclass(frozen=True)
class Standing:
    """A job's progress as a person reads it."""

    fraction: float | None
    """0 to 1; none: nobody knows how much there is."""
    counted: str
    """ "1,210 of 5,000 trees"; empty while nothing is counted."""
    pace: str
    """ "3.4 a second", "12 a minute"; empty unless it runs."""
    remaining: str
    """ "about 12 minutes left"; empty when nobody knows."""
    worked: str
    """How long workers have been at it."""
    advice: str
    """What to do about a failure; empty otherwise."""


def standing_of(job: Job) -> Standing:
    """How the job stands now."""
    running = job.state in LIVE
    known = job.total is not None and job.total > 0
    fraction = min(1.0, job.done / job.total) if known and job.total else None
    unit = f" {job.unit}" if job.unit else ""
    counted = ""
    if job.unit == "%":
        unit = ""  # the share itself stands before it
    elif known and job.total is not None:
        counted = f"{job.done:,} of {job.total:,}{unit}"
    elif job.done:
        counted = f"{job.done:,}{unit or ' done'}"
    rate = job.rate if running else None
    remaining = ""
    if rate and known and job.total is not None and job.done < job.total:
        remaining = f"about {span((job.total - job.done) / rate)} left"
    return Standing(
        fraction=fraction,
        counted=counted,
        pace=pace(rate) if rate and job.unit != "%" else "",
        remaining=remaining,
        worked=span(job.worked) if job.worked >= 1 else "",
        advice=ADVICE.get(job.error_code, "") if job.state == State.FAILED else "",
    )


def kind_label(kind: str) -> str:
    """A kind of job as people call it."""
    return KINDS[kind].label if kind in KINDS else kind


def pace(rate: float) -> str:
    """Units a second, in whichever unit of time makes a number one can read."""
    for seconds, word in ((1, "second"), (60, "minute"), (3600, "hour"), (86400, "day")):
        value = rate * seconds
        if value >= 1 or word == "day":
            return f"{value:,.1f} a {word}" if value < 10 else f"{value:,.0f} a {word}"
    raise AssertionError


def span(seconds: float | timedelta) -> str:
    """A span of time as people say it: "40 seconds", "12 minutes", "3 hours 20 minutes", "2 days"."""
    whole = round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    if whole < 90:
        return _counted(max(whole, 0), "second")
    minutes = round(whole / 60)
    if minutes < 90:
        return _counted(minutes, "minute")
    hours, rest = divmod(minutes, 60)
    if hours < 10 and rest:
        return f"{_counted(hours, 'hour')} {_counted(rest, 'minute')}"
    if hours < 48:
        return _counted(round(minutes / 60), "hour")
    return _counted(round(minutes / 1440), "day")


def ago(moment: Any) -> str:
    """How long ago a moment is."""
    return f"{span(timezone.now() - moment)} ago"


def flat(value: Any, before: str = "") -> list[tuple[str, str]]:
    """Settings or a result as rows of a table: the way to each value, and the value."""
    if isinstance(value, dict):
        return [
            row for name, inner in value.items() for row in flat(inner, f"{before}.{name}" if before else str(name))
        ]
    if isinstance(value, list):
        if all(not isinstance(one, dict | list) for one in value):
            return [(before, ", ".join(map(_plain, value)) or "none")]
        return [row for place, inner in enumerate(value, 1) for row in flat(inner, f"{before} {place}")]
    return [(before, _plain(value))]


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return str(value)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
