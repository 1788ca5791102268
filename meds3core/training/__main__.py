"""`python -m meds3core.training JOB.json`: one of the processes of a training, or the only one.

Run by `meds3core.training.launch`, or by hand: `accelerate launch … -m meds3core.training JOB.json`.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from meds3core.errors import Meds3Error
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.training.launch import STOP_AT_EOF
from meds3core.training.methods import TrainJob, run_job


class LineSink:
    """Writes events as JSON lines to stdout."""

    def emit(self, event: ProgressEvent) -> None:
        """Write one event."""
        _say("event", event.model_dump(mode="json"))


def main() -> int:
    """Train; the first process says how it ended, and each one what went wrong in it."""
    first = os.environ.get("RANK", "0") == "0"
    job = TrainJob.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    cancel = CancelToken()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cancel.cancel())
    if first and os.environ.get(STOP_AT_EOF):
        threading.Thread(target=_stop_at_end_of_stdin, args=(cancel,), daemon=True).start()
    try:
        result = run_job(job, sink=LineSink(), cancel=cancel)
    except Meds3Error as error:
        _say("error", {"code": error.code, "message": str(error)})
        return error.exit_code
    if first:
        _say("result", result.model_dump(mode="json"))
    return 0


def _stop_at_end_of_stdin(cancel: CancelToken) -> None:
    sys.stdin.buffer.read()
    cancel.cancel()


def _say(kind: str, content: dict[str, Any]) -> None:
    print(json.dumps({kind: content}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
