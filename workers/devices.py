"""A job waits for its device before it builds an engine; its supervisor keeps the lease and gives it back."""

import os
import socket
import time
from contextlib import suppress

import redis
from django.conf import settings

from meds3core.errors import Cancelled
from webapp.chat.streams import wanted_key
from webapp.common.redis_clients import redis_client
from webapp.jobs import reports
from webapp.jobs.claims import Claim
from webapp.jobs.devices import CPU, CPU_SHARE, device_holders, device_lease_take, device_leases_release
from workers.context import JobContext
from workers.identity import VISIBLE_VARIABLE, devices

LOOK_SECONDS = 0.5
WANTED_SECONDS = 5
HOST_VARIABLE = "MEDS3_HOST_NAME"
"""Set where several containers of one machine share its processor."""


def holder_of(claim: Claim) -> str:
    """An attempt, as holder of leases."""
    return f"job:{claim.job_id}:{claim.attempt}"


def device_wait(context: JobContext) -> str:
    """Take all devices of this worker, and wait for them if need be; gives the first one's id. Raises `Cancelled`.

    From then on this process and its children see these GPUs and no others, whatever order CUDA would number them in.
    To be called before CUDA is used.
    """
    wanted = sorted(str(each["uuid"]) for each in devices())
    holder = holder_of(Claim(context.job_id, context.attempt))
    told = False
    while (busy := _take_all(wanted, holder)) is not None:
        if context.cancel.cancelled:
            raise Cancelled("told to stop while it waited for its device")
        if not told:
            holders = device_holders(host=lease_host(busy), device_uuid=busy)
            others = ", ".join(one.rpartition(":")[0].replace(":", " ") for one in holders)
            reports.warning_write(
                job_id=context.job_id, attempt=context.attempt, text=f"Waiting for {busy}, used by {others}."
            )
            told = True
        _ask_chat(busy, context)
        time.sleep(LOOK_SECONDS)
    os.environ[VISIBLE_VARIABLE] = ",".join(each for each in wanted if each != CPU)
    return wanted[0]


def _ask_chat(device: str, context: JobContext) -> None:
    """Have chat give the device up, if it has it: it looks here. Said anew each time, and soon forgotten."""
    host = lease_host(device)
    if any(each.startswith("chat:") for each in device_holders(host=host, device_uuid=device)):
        with suppress(redis.RedisError, OSError):
            redis_client().set(wanted_key(host, device), str(context.job_id), ex=WANTED_SECONDS)


def lease_host(device: str) -> str:
    """Where a device counts. A GPU's id is its own all over the world, and containers that share one differ in name."""
    return os.environ.get(HOST_VARIABLE) or socket.gethostname() if device == CPU else ""


def _take_all(wanted: list[str], holder: str) -> str | None:
    """All of them or none; gives the one that is busy. Everybody asks in the same order."""
    for device in wanted:
        share = CPU_SHARE if device == CPU else settings.JOBS_GPU_SHARE
        if not device_lease_take(host=lease_host(device), device_uuid=device, holder=holder, share=share):
            device_leases_release(holder=holder)
            return device
    return None
