"""Runs a command against a throwaway PostgreSQL: `python -m tests.with_postgres -- COMMAND …`.

A cluster of its own in a temporary folder, on a socket only, without fsync; `MEDS3_DATABASE` names it to the command.
It is stopped and its folder removed when the command ends, and when this process is told to end (SIGINT, SIGTERM,
SIGHUP). Exits with the command's code, or with 77 where there is no PostgreSQL.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MISSING = 77
"""What automake and others take for "skipped"."""
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


@contextmanager
def cluster() -> Iterator[str]:
    """A running cluster; gives its URL for `MEDS3_DATABASE`. Raises `NoPostgres`."""
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
        yield f"postgres://meds3@/{home}/postgres"
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
        with cluster() as url:
            child = subprocess.Popen(command, env=os.environ | {"MEDS3_DATABASE": url, "MEDS3_DATABASE_POOL": "32"})
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
