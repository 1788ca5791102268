"""A folder in which a job's attempts go on with one another's unfinished work, one at a time.

Training, evaluation and the loop keep files of their own that continue exactly where they stopped, and check what they
find there. What they need is that no two processes work in one folder: the lock is the kernel's, which gives it back
on any death. An attempt that cannot have the folder (an earlier one hangs somewhere and still holds it) takes a fresh
one, so that it never waits for the dead.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.context import JobContext

LOCK = ".held"


@contextmanager
def kept_folder(context: JobContext, name: str) -> Iterator[Path]:
    """The newest folder of this name that nobody holds, below the job's; a new one when there is none."""
    mine = context.job_folder / f"{name}-{context.attempt}"
    earlier = sorted(context.job_folder.glob(f"{name}-*"), key=_attempt, reverse=True)
    for folder in [*earlier, mine]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return
    raise RuntimeError(f"attempt {context.attempt} of job {context.job_id} runs twice")


def _attempt(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0
