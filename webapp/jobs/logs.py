"""What a job's processes wrote to their log, read by range: the file is limited in size and never read whole.

A log holds no content: workers log places and names, never values.
"""

import codecs
from dataclasses import dataclass

from webapp.jobs.models import Job
from webapp.jobs.reports import job_folder

PART = 64 << 10
LARGEST_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class LogPart:
    """A stretch of one attempt's log, whole characters only; the next stretch begins at byte `next`."""

    attempt: int
    offset: int
    next: int
    size: int
    text: str


def log_attempts(*, job: Job) -> list[int]:
    """The attempts that left a log, oldest first."""
    folder = job_folder(job.pk)
    if not folder.is_dir():
        return []
    return sorted(int(one.name) for one in folder.iterdir() if one.name.isdecimal() and (one / "log").is_file())


def log_read(*, job: Job, attempt: int | None = None, offset: int | None = None, size: int = PART) -> LogPart:
    """From byte `offset` on; without it, the end of the log. Without an attempt, the latest one.

    An offset beyond the end reads from the beginning: a log that grew too long begins anew.
    """
    if attempt is None:
        attempt = max(log_attempts(job=job), default=job.attempt)
    path = job_folder(job.pk) / str(attempt) / "log"
    if not path.is_file():
        return LogPart(attempt, 0, 0, 0, "")
    size = min(max(size, 4), LARGEST_PART)
    with path.open("rb") as file:
        whole = file.seek(0, 2)
        start = max(0, whole - size) if offset is None else offset if offset <= whole else 0
        file.seek(start)
        found = file.read(size)
    if offset is None and start:  # begin with a whole line
        cut = found.find(b"\n") + 1
        start, found = start + cut, found[cut:]
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(found)
    waiting = len(decoder.getstate()[0])  # the beginning of a character whose end comes later
    return LogPart(attempt, start, start + len(found) - waiting, whole, text)
