"""A studio for browser tests: real uvicorn on a file database, real Redis, workers where a test wants them.

Playwright's own event loop forbids the ORM in the process of the test, so functions that use it are sent to the second
process (`Studio.call`). Both are started once for a whole run.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
SETTINGS = "webapp.config.settings.local"


class Studio:
    """A running instance. `url` has no slash at its end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MEDS3_", "DJANGO_"))
        } | {"MEDS3_HOME": str(home), "DJANGO_SETTINGS_MODULE": SETTINGS, "MEDS3_LOG_LEVEL": "WARNING"}
        self._environment["MEDS3_JOBS_TEMPO"] = "0.3"
        self._environment["OMP_WAIT_POLICY"] = "PASSIVE"
        self._environment["MEDS3_IMPORT_ROOTS"] = f"shared={home / 'shared'}"
        (home / "run").mkdir(mode=0o700)
        self.redis = RedisServer(home / "run")
        self.redis.start()
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._errors = (home / "log").open("wb")
        self._manager = self._start([sys.executable, "-m", "tests.browser.management"], pipes=True)
        self.call(_prepare)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start_server()

    def start_server(self) -> None:
        """The web process; it answers when this returns."""
        serve = ["webapp.config.asgi:application", "--host=127.0.0.1", f"--port={self._port}", "--log-level=warning"]
        serve += ["--timeout-graceful-shutdown=5", "--no-access-log"]
        self._server = self._start([sys.executable, "-m", "uvicorn", *serve])
        self._wait_until_it_answers()

    @property
    def server_pid(self) -> int:
        """The web process."""
        return self._server.pid

    def stop_server(self) -> None:
        """End the web process, as somebody who pulls the plug would."""
        self._server.kill()
        self._server.wait()

    def start_worker(self, queue: str) -> None:
        """A real worker of this queue, and the sweep; nothing happens where there is one already."""
        celery = (
            f"celery -A workers.app worker -Q {queue} -n {queue}@studio --concurrency 1 --without-gossip -l WARNING"
        )
        for name, module in ((queue, celery), ("sweep", "workers.sweep")):
            if name not in self._workers:
                self._workers[name] = self._start([sys.executable, "-m", *module.split()])

    def start_chat(self, **environment: str) -> None:
        """A real chat worker; nothing happens where there is one already."""
        if "chat" not in self._workers:
            self._workers["chat"] = self._start([sys.executable, "-m", "workers.chat"], **environment)

    @property
    def chat_pid(self) -> int:
        """The chat worker."""
        return self._workers["chat"].pid

    def kill_chat(self) -> None:
        """End it as a power cut would."""
        process = self._workers.pop("chat")
        process.kill()
        process.wait()

    def stop_workers(self) -> None:
        """End them as an operator would: their jobs save their place first."""
        for process in self._workers.values():
            process.terminate()
        for process in self._workers.values():
            _end(process, 90)
        self._workers.clear()

    def call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Run a module's function in the process that may use the ORM. Arguments and result go as JSON.

        The function imports models inside its body, so that its module loads without Django.
        """
        assert self._manager.stdin is not None
        assert self._manager.stdout is not None
        order = {"module": function.__module__, "name": function.__qualname__, "arguments": arguments}
        self._manager.stdin.write(json.dumps(order).encode() + b"\n")
        self._manager.stdin.flush()
        answer = json.loads(self._manager.stdout.readline() or json.dumps({"error": self.log()}))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def log(self) -> str:
        """The end of what the server and the second process wrote."""
        self._errors.flush()
        return (self.home / "log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End everything."""
        self.stop_workers()
        for process in (self._server, self._manager):
            process.terminate()
        for process in (self._server, self._manager):
            _end(process, 20)
        self.redis.stop()
        self._errors.close()

    def _start(self, command: list[str], *, pipes: bool = False, **environment: str) -> subprocess.Popen[bytes]:
        piped = subprocess.PIPE if pipes else subprocess.DEVNULL
        given = self._environment | environment
        return subprocess.Popen(command, cwd=ROOT, env=given, stdin=piped, stdout=piped, stderr=self._errors)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=10):
                    return
            except (urllib.error.URLError, OSError):
                if self._server.poll() is not None:
                    break
                time.sleep(0.2)
        said = self.log()
        self.stop()
        raise RuntimeError(f"uvicorn does not answer:\n{said}")


def _prepare() -> None:
    """The database with what comes with the product, and static files as they are served in earnest: with a hash in
    their name, compressed."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("bundled")
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["ninja", "admin"])


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
