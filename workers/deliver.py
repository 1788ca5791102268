"""Sends what waits for webhooks: a thread of the sweep. Any number may run; each delivery is claimed by one of them."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import DatabaseError, connection

from webapp.webhooks.delivery import delivery_claim, delivery_send

AT_ONCE = 4
"""A receiver that is slow to answer holds up three others at most."""
LOOK_SECONDS = 2.0

log = logging.getLogger("workers.deliver")


def deliver_due(pool: ThreadPoolExecutor) -> int:
    """Send what is due now; gives how many were tried."""
    return sum(pool.map(lambda _: _deliver_some(), range(AT_ONCE)))


def _deliver_some() -> int:
    sent = 0
    try:
        while delivery := delivery_claim():
            delivery_send(delivery=delivery)
            sent += 1
    except DatabaseError as error:
        log.warning("the database does not answer (%s)", type(error).__name__)
    finally:
        connection.close()
    return sent


def deliver_until(over: threading.Event) -> None:
    """Look again and again, until told to end."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
        while not over.wait(LOOK_SECONDS * settings.JOBS_TEMPO):
            try:
                deliver_due(pool)
            except Exception:  # one delivery that breaks must not stop the others for good
                log.exception("deliveries broke")
