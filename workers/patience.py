"""Writes of a job that outlast a database restart: asked again for as long as the lease may still hold."""

import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from meds3core.errors import Cancelled
from meds3core.progress import CancelToken

Result = TypeVar("Result")

PAUSE_SECONDS = 0.2


def patiently(act: Callable[[], Result], cancel: CancelToken) -> Result:
    """What `act` gives; while the database does not answer or is locked, it is asked again on a new connection.

    `act` must be one transaction, or safe to do again. Raises the database's error after a whole lease, by which time
    the supervisor ends the process, and `Cancelled` when the job is told to stop meanwhile.
    """
    end = time.monotonic() + settings.JOBS_LEASE_SECONDS
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > end:
                raise
            if cancel.cancelled:
                raise Cancelled("told to stop while the database did not answer") from None
            time.sleep(PAUSE_SECONDS)
