"""A backup as a job: the same as `meds3 backup`, for the operator who has no shell."""

from collections.abc import Mapping
from typing import Any

from meds3core.config.jobs import BackupSpec
from meds3core.progress import ProgressEvent
from webapp.jobs import reports
from workers.backups.write import backup_write
from workers.context import JobContext

MEBI = 1 << 20


def run(context: JobContext) -> Mapping[str, Any]:
    """Write the archive into `MEDS3_BACKUPS`; the result names it. Interrupted, it begins anew."""
    spec: BackupSpec = context.spec
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Backup", text="Copying the database.")

    def tell(done: int, total: int) -> None:
        context.reporter.emit(
            ProgressEvent(kind="progress", done=done // MEBI, total=max(total // MEBI, 1), data={"unit": "MiB"})
        )

    path, contents = backup_write(with_files=spec.files, tell=tell, cancelled=lambda: context.cancel.cancelled)
    return {"file": path.name, "bytes": path.stat().st_size, "members": len(contents.members)}
