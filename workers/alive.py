"""Whether the worker of this machine was heard of lately: `python -m workers.alive`. For health checks.

A worker touches its file after every heartbeat that the database took; so does the sweep after every round. Loads no
Django: a health check every half a minute must cost next to nothing.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

SECONDS = 60.0


def alive_file(home: Path, name: str) -> Path:
    """The file of the worker of this name."""
    return home / "run" / f"alive-{name.replace('/', '-')}"


def touch(home: Path, name: str) -> None:
    """It lives. A full disk is for the health check to find, not for the worker to die of."""
    path = alive_file(home, name)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch()


def main() -> int:
    """Exit code: 0 when it was heard of within a minute."""
    path = alive_file(Path(os.environ["MEDS3_HOME"]), os.environ["MEDS3_WORKER_NAME"])
    try:
        return 0 if time.time() - path.stat().st_mtime < SECONDS else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
