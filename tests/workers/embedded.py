"""`meds3 up` and its relatives as a person calls them: a process of its own, its words, what it leaves behind."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.workers.stack import PATIENCE

ROOT = Path(__file__).parents[2]


def meds3(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        _command(arguments), cwd=ROOT, env=environment(home, **variables), capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Nothing of ours but the home and what is given."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MEDS3_", "DJANGO_", "INVOCATION_ID"))
    }
    return clean | {"MEDS3_HOME": str(home), "PYTHONUNBUFFERED": "1", **variables}


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "meds3core.cli.main", *arguments]


class Foreground:
    """A running `meds3 up` or `meds3 demo`. As a context it leaves nothing, whatever happens."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            _command((*arguments, "--no-browser")), cwd=ROOT, env=environment(home, **variables),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Foreground":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for one in processes_of(self.home):
            with suppress(psutil.NoSuchProcess):
                one.kill()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def until(self, text: str) -> str:
        """The first line from here on that holds the text."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=1)
                if line is None:
                    break
                self.said.append(line)
                if text in line:
                    return line
        raise AssertionError(f"it never said {text!r}, but:\n" + "\n".join(self.said) + "\n" + self.logs())

    def url(self) -> str:
        """Where it answers, once it does."""
        return self.until("  http://127.0.0.1:").strip()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> int:
        """The exit code, when it has ended by itself."""
        code = self.process.wait(timeout=PATIENCE)
        while (line := self._lines.get(timeout=10)) is not None:
            self.said.append(line)
        return code

    def logs(self) -> str:
        """The ends of what the processes said."""
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {one.name}\n{one.read_text(errors='replace')[-1500:]}" for one in files)


def processes_of(home: Path) -> list[psutil.Process]:
    """Processes that work on this home: by their environment, their command line or their open files."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.status() == psutil.STATUS_ZOMBIE:
                continue
            named = str(home) in " ".join(one.cmdline())
            if named or one.environ().get("MEDS3_HOME") == str(home):
                found.append(one)
    return found


def left_running(home: Path) -> list[list[str]]:
    """Command lines of what is left; waits a moment for what is just going."""
    end = time.monotonic() + 10
    while (left := processes_of(home)) and time.monotonic() < end:
        time.sleep(0.2)
    return [one.cmdline() for one in left if one.is_running()]
