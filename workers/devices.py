"""A job waits for its device before it builds an engine; its supervisor keeps the lease and gives it back."""

import socket
import time

from meds3core.errors import Cancelled
from webapp.jobs import reports
from webapp.jobs.claims import Claim
from webapp.jobs.devices import CPU, CPU_SHARE, device_holders, device_lease_take
from workers.context import JobContext
from workers.identity import devices

LOOK_SECONDS = 0.5


def holder_of(claim: Claim) -> str:
    """An attempt, as holder of leases."""
    return f"job:{claim.job_id}:{claim.attempt}"


def device_wait(context: JobContext) -> str:
    """Take the worker's first device, and wait for it if need be; gives its id. Raises `Cancelled`."""
    host = socket.gethostname()
    device = str(devices()[0]["uuid"])
    share = CPU_SHARE if device == CPU else 1.0
    holder = holder_of(Claim(context.job_id, context.attempt))
    told = False
    while not device_lease_take(host=host, device_uuid=device, holder=holder, share=share):
        if context.cancel.cancelled:
            raise Cancelled("told to stop while it waited for its device")
        if not told:
            holders = device_holders(host=host, device_uuid=device)
            others = ", ".join(one.rpartition(":")[0].replace(":", " ") for one in holders)
            reports.warning_write(
                job_id=context.job_id, attempt=context.attempt, text=f"Waiting for {device}, used by {others}."
            )
            told = True
        time.sleep(LOOK_SECONDS)
    return device
