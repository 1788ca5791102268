"""What a kind of job gets to do its work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from meds3core.progress import CancelToken
from webapp.jobs.models import Checkpoint
from workers.reporter import Reporter


@dataclass(frozen=True)
class JobContext:
    """One attempt, seen from inside its process."""

    job_id: UUID
    attempt: int
    title: str
    spec: Any
    """The JobSpec of the runner's kind."""
    folder: Path
    """The attempt's own, `jobs/<id>/<attempt>`."""
    job_folder: Path
    checkpoints: Mapping[str, Checkpoint]
    """What earlier attempts recorded, by name; paths are below `job_folder`."""
    reporter: Reporter
    cancel: CancelToken


Runner = Callable[[JobContext], Mapping[str, Any]]
"""Does the work and gives the job's result as JSON. Raises `Cancelled` when it stopped because `cancel` was set."""
