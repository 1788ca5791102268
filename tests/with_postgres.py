"""Runs a command against a throwaway PostgreSQL: `python -m tests.with_postgres -- COMMAND …`.

A cluster of its own in a temporary folder, on a socket only, without fsync; `MEDS3_DATABASE` names it to the command.
It is stopped and its folder removed when the command ends, and when this process is told to end (SIGINT, SIGTERM,
SIGHUP). The server is restarted when this process, which `MEDS3_TEST_POSTGRES_KEEPER` names, gets SIGUSR1. Exits with
the command's code, or with 77 where there is no PostgreSQL.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = 77
"""What automake and others take for "skipped"."""
KEEPER = "MEDS3_TEST_POSTGRES_KEEPER"
"""Holds the id of the process that restarts the server on SIGUSR1."""
SERVER_USER = "postgres"  # the server refuses to run as root


class NoPostgres(Exception):
    """There is none on this machine; the message says what was looked for."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs. Raises `NoPostgres`."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent for name in ("initdb", "pg_ctl") if (found := shutil.which(name))]
    for folder in (*on_path, *packaged):
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoPostgres(
        "PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql (apt-get install postgresql)"
    )


@dataclass(frozen=True)
class Cluster:
    """A server that runs."""

    url: str
    """For `MEDS3_DATABASE`."""
    restart: Callable[[], None]
    """Stop it, ending all connections, and start it."""


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster. Raises `NoPostgres`."""
    programs = binaries()
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path may have 107 bytes
    data, log = home / "data", home / "log"
    prefix: list[str] = []
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam(SERVER_USER)
        except KeyError:
            home.rmdir()
            raise NoPostgres(f"PostgreSQL refuses root and there is no user {SERVER_USER!r}") from None
        os.chown(home, user.pw_uid, user.pw_gid)
        prefix = ["setpriv", f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--clear-groups"]

    def run(program: str, *arguments: str) -> None:
        # Files, not pipes: the server inherits them and would keep a reader waiting for ever.
        with log.open("ab") as told:
            done = subprocess.run(
                [*prefix, "env", f"HOME={home}", str(programs / program), *arguments],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                process_group=0,  # Ctrl-C is for the command; the cluster is stopped after it
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{log.read_text(errors='replace')[-2000:]}")

    try:
        run("initdb", "-D", str(data), "-U", "meds3", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        options = f"-k {home} -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        options += " -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "start")
        yield Cluster(
            url=f"postgres://meds3@/{home}/postgres",
            restart=lambda: run("pg_ctl", "-D", str(data), "-w", "-m", "fast", "-o", options, "restart"),
        )
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(home, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command:
        print("usage: python -m tests.with_postgres -- COMMAND …", file=sys.stderr)
        return 2

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, end)
    try:
        with cluster() as server:
            signal.signal(signal.SIGUSR1, lambda *_: server.restart())
            named = {"MEDS3_DATABASE": server.url, "MEDS3_DATABASE_POOL": "32", KEEPER: str(os.getpid())}
            child = subprocess.Popen(command, env=os.environ | named)
            try:
                return child.wait()
            finally:
                if child.poll() is None:
                    child.terminate()
                    try:
                        child.wait(timeout=30)
                    except subprocess.TimeoutExpired:
                        child.kill()
                        child.wait()
    except NoPostgres as missing:
        print(missing, file=sys.stderr)
        return MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
