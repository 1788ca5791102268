"""Mails what people asked to be told: a thread of the sweep, since a mail server may be slow."""

import logging
import threading

from django.conf import settings
from django.db import DatabaseError, connection

from webapp.jobs.notices import notices_send

log = logging.getLogger("workers.post")


def post_until(over: threading.Event) -> None:
    """Look again and again, until told to end."""
    while not over.wait(settings.JOBS_SWEEP_SECONDS):
        try:
            notices_send()
        except DatabaseError as error:
            log.warning("the database does not answer (%s)", type(error).__name__)
        except Exception:  # one mail that breaks must not stop the others for good
            log.exception("mail broke")
        finally:
            connection.close()
