"""One stack per home: a lock that the kernel gives back when its holder is gone, however it went."""

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

from meds3core.errors import UserError


class StackRuns(UserError):
    """Another `meds3 up` has this home; the message says where it answers."""

    code = "stack-runs"


class StackLock:
    """Holds `<home>/run/lock` as long as this process lives; the file says who holds it and where it answers."""

    def __init__(self, home: Path) -> None:
        """Take the lock. Raises `StackRuns`."""
        path = home / "run" / "lock"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._home = home
        self._file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            told = self._file.read()
            self._file.close()
            raise StackRuns(_account(home, told)) from None
        self.say({})

    def say(self, facts: dict[str, str]) -> None:
        """What others who want this home are told, and where the next start looks for its port first."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({"pid": os.getpid(), **facts}))
        self._file.flush()

    def release(self) -> None:
        """Let go."""
        self._file.seek(0)
        self._file.truncate()
        self._file.close()


def holder_of(home: Path) -> dict[str, str]:
    """What the lock's file says; empty where no stack runs on this home."""
    path = home / "run" / "lock"
    try:
        with path.open(encoding="utf-8") as file:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return {}
            return {str(name): str(value) for name, value in json.loads(file.read() or "{}").items()}
    except (OSError, ValueError):
        return {}


def _account(home: Path, told: str) -> str:
    try:
        facts = json.loads(told)
    except ValueError:
        facts = {}
    where = f" at {facts['url']}" if facts.get("url") else " (it is just starting or stopping)"
    who = f" (process {facts['pid']})" if facts.get("pid") else ""
    return f"MedS3 Studio runs already on {home}{where}{who}. For a second one, set MEDS3_HOME to another folder."
