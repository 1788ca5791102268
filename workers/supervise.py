"""Watches over one job's process: keeps its lease, passes on what people ask, and says how it ended.

Two threads. One talks to the database, which may hang; the other never waits for it, so that a job whose lease cannot
be renewed for a whole lease is ended in time, whatever the database does.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from webapp.endpoints.keys import endpoint_keys
from webapp.jobs import claims
from webapp.jobs.claims import Claim
from webapp.jobs.devices import device_leases_release, device_leases_renew
from webapp.jobs.models import State, Worker
from webapp.jobs.reports import error_of, job_folder
from webapp.jobs.transitions import StaleAttempt
from workers import exits
from workers.devices import holder_of
from workers.processes import JOB_VARIABLE, PARENT_VARIABLE, WORKER_VARIABLE, adopt_orphans, session_kill

TICK_SECONDS = 0.05

log = logging.getLogger(__name__)


class Supervisor:
    """One attempt at one job."""

    def __init__(self, claim: Claim, worker: Worker, drain: Path) -> None:
        self.claim = claim
        self.worker = worker
        self._drain = drain
        self._told_to_end = False
        self._wish = State.RUNNING
        self._stale = False
        self._renewed = time.monotonic()
        self._counted = self._renewed
        self._must_end_by: float | None = None
        self._too_long = False
        self._over = threading.Event()

    def run(self) -> None:
        """Until the job's process has ended and its end is written, or nobody waits for it any more."""
        adopt_orphans()
        before = signal.signal(signal.SIGTERM, self._on_sigterm)
        heart = threading.Thread(target=self._keep_lease, name="lease", daemon=True)
        try:
            child = self._start()
            heart.start()
            try:
                asked = self._watch(child)
            finally:
                if child.poll() is None:
                    child.kill()
                code = child.wait()  # before the others: nobody else may take its exit code
                session_kill(child.pid, self.worker.pk, self.claim.job_id)
            self._free_devices()
            self._count_work()
            if not self._stale:
                self._say_end(code, asked)
        finally:
            self._over.set()
            signal.signal(signal.SIGTERM, before)
            if heart.ident is not None:
                heart.join(timeout=settings.JOBS_LEASE_SECONDS)

    def _start(self) -> "subprocess.Popen[bytes]":
        folder = job_folder(self.claim.job_id) / str(self.claim.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            JOB_VARIABLE: str(self.claim.job_id),
            WORKER_VARIABLE: str(self.worker.pk),
            PARENT_VARIABLE: str(os.getpid()),
            "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads starve every other process
            "TOKENIZERS_PARALLELISM": "false",
            **endpoint_keys(job_id=self.claim.job_id),
        }
        with (folder / "log").open("ab") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "workers.run", str(self.claim.job_id), str(self.claim.attempt)],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                env=environment,
                start_new_session=True,
            )

    def _watch(self, child: "subprocess.Popen[bytes]") -> bool:
        """Until the process has ended or must be killed. Says whether it was asked to stop."""
        deadline: float | None = None
        while child.poll() is None:
            now = time.monotonic()
            if self._stale:
                return False
            if now - self._renewed > settings.JOBS_LEASE_SECONDS:
                # Somebody else may have the job by now. A supervisor that was stopped and goes on comes here first.
                log.warning("job %s: the lease could not be renewed in time; its process is ended", self.claim.job_id)
                self._stale = True
                return False
            if self._must_end_by is not None and now > self._must_end_by and not self._must_stop():
                log.warning("job %s is worked on for too long", self.claim.job_id)
                self._too_long = True
            if deadline is None and self._must_stop():
                deadline = now + settings.JOBS_GRACE_SECONDS
                os.killpg(child.pid, signal.SIGTERM)
            elif deadline is not None and now > deadline:
                log.warning("job %s did not stop within its grace", self.claim.job_id)
                return True
            self._over.wait(TICK_SECONDS)
        return deadline is not None

    def _must_stop(self) -> bool:
        return self._told_to_end or self._too_long or self._wish != State.RUNNING or self._drain.exists()

    def _on_sigterm(self, *_: Any) -> None:
        self._told_to_end = True

    def _keep_lease(self) -> None:
        """In a thread of its own: renew, and see what people ask."""
        renewed = time.monotonic()
        while not self._over.wait(settings.JOBS_WISH_SECONDS):
            begun = time.monotonic()
            try:
                if self._must_end_by is None:
                    self._must_end_by = begun + claims.time_left(claim=self.claim)
                if begun - renewed >= settings.JOBS_HEARTBEAT_SECONDS:
                    self._wish = claims.lease_renew(claim=self.claim, worker=self.worker, worked=begun - self._counted)
                    self._counted = begun
                    device_leases_renew(holder=holder_of(self.claim))
                    self._renewed = renewed = begun
                else:
                    self._wish = claims.job_wish(claim=self.claim)
                if not self._told_to_end and Worker.objects.filter(pk=self.worker.pk, draining=True).exists():
                    self._told_to_end = True
                self._trim_log()
            except StaleAttempt:
                self._stale = True
                break
            except (DatabaseError, OSError) as error:
                log.warning("job %s: the database does not answer (%s)", self.claim.job_id, type(error).__name__)
                connection.close()
        connection.close()

    def _trim_log(self) -> None:
        path = job_folder(self.claim.job_id) / str(self.claim.attempt) / "log"
        if path.stat().st_size > settings.JOBS_LOG_BYTES:
            os.truncate(path, 0)
            with path.open("a", encoding="utf-8") as log_file:
                log_file.write("The beginning of this log was longer than it may be and was dropped.\n")

    def _say_end(self, code: int, asked: bool) -> None:
        claim = self.claim
        if code == exits.DONE:
            self._write(lambda: claims.job_finish(claim=claim))
        elif code == exits.REFUSED:
            self._write(lambda: claims.job_fail(claim=claim, **_stored(claim)))
        elif self._too_long and code != exits.STALE:
            self._write(lambda: claims.job_overdue(claim=claim))
        elif code == exits.STOPPED or (asked and code != exits.BROKE):
            self._write(lambda: claims.job_stopped(claim=claim))
        elif code == exits.STALE:
            log.info("job %s has gone on without attempt %d", claim.job_id, claim.attempt)
        else:
            self._write(lambda: claims.job_crashed(claim=claim, account=_account(code, claim)))

    def _count_work(self) -> None:
        try:
            claims.work_count(claim=self.claim, seconds=time.monotonic() - self._counted)
        except DatabaseError:
            connection.close()  # some seconds are not counted

    def _free_devices(self) -> None:
        try:
            device_leases_release(holder=holder_of(self.claim))
        except DatabaseError:
            connection.close()  # nobody renews them: they end by themselves

    def _write(self, act: Callable[[], State]) -> None:
        """Write the end, as long as the lease holds; after that the sweep does."""
        while time.monotonic() - self._renewed <= settings.JOBS_LEASE_SECONDS:
            try:
                log.info("job %s attempt %d: %s", self.claim.job_id, self.claim.attempt, act())
                return
            except StaleAttempt:
                return
            except DatabaseError as error:
                log.warning("job %s: its end could not be written yet (%s)", self.claim.job_id, type(error).__name__)
                connection.close()
                time.sleep(TICK_SECONDS)


def _stored(claim: Claim) -> dict[str, str]:
    code, message = error_of(job_id=claim.job_id)
    return {"code": code, "message": message}


def _account(code: int, claim: Claim) -> str:
    if code == exits.BROKE:
        return f"The job broke ({_stored(claim)['message']})"
    if code == -signal.SIGKILL:
        return "The job's process was killed, perhaps for want of memory"
    if code < 0:
        return f"The job's process was ended by signal {-code}"
    return f"The job's process ended with code {code} without a word"
