"""The device that chat computes on: leased like a job's, given back when a job asks for it.

A job that finds chat on its device says so in Redis for as long as it waits (`workers.devices`); chat finishes what is
in flight, unloads, gives the lease back, and takes it again when nobody wants it.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from webapp.chat.streams import wanted_key
from webapp.jobs.devices import (
    CPU,
    CPU_SHARE,
    device_holders,
    device_lease_take,
    device_leases_release,
    device_leases_renew,
)
from workers.devices import lease_host
from workers.identity import VISIBLE_VARIABLE, devices

LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)

Read = Callable[..., Awaitable[object]]


class Device:
    """The first device of this machine that the process may see."""

    def __init__(self, worker: str, redis: Redis, read: Read) -> None:
        found = devices()[0]
        self.uuid = str(found["uuid"])
        self.bytes = int(str(found.get("mebibytes", 0))) << 20
        """Of a GPU's memory; 0: the machine's."""
        self.is_cpu = self.uuid == CPU
        if not self.is_cpu:
            os.environ[VISIBLE_VARIABLE] = self.uuid
        self.held = False
        self._holder = f"chat:{worker}"
        self._redis = redis
        self._read = read
        self._until = 0.0
        self._asking = asyncio.Lock()
        """Answers about the lease come in the order of the questions."""

    @property
    def share(self) -> float:
        """Of the device's memory: on a GPU all of it, unless the operator leaves chat a share of its own."""
        if self.is_cpu:
            return CPU_SHARE
        rest = 1.0 - float(settings.JOBS_GPU_SHARE)
        return rest if rest > 0 else 1.0

    async def take(self, tell: Callable[[str], Awaitable[None]]) -> None:
        """Have the lease; waits for it, and says for whom."""
        while not self.held:
            if await self.wanted_by() is None and await self._try():
                return
            await tell(await self.waiting_for())
            await asyncio.sleep(LOOK_SECONDS)

    async def _try(self) -> bool:
        async with self._asking:
            asked = time.monotonic()
            lease = {"host": lease_host(self.uuid), "device_uuid": self.uuid, "share": self.share}
            if await self._read(device_lease_take, holder=self._holder, **lease):
                self._until, self.held = asked + settings.JOBS_LEASE_SECONDS, True
            return self.held

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may have the device though our models are on it: the lease is gone, or nobody could
        renew it in time.
        """
        return self.held and time.monotonic() > self._until

    async def renew(self) -> None:
        """Keep it; a lease that was lost is noticed (`is_lost`)."""
        async with self._asking:
            asked = time.monotonic()
            if self.held and not self.is_lost:
                kept = await self._read(device_leases_renew, holder=self._holder)
                self._until = asked + settings.JOBS_LEASE_SECONDS if kept else 0.0

    def drop(self) -> None:
        """Without it from here on; the lease ends by itself."""
        self.held = False

    async def release(self) -> None:
        """Give it back."""
        async with self._asking:
            self.held = False
            await self._read(device_leases_release, holder=self._holder)

    async def wanted_by(self) -> str | None:
        """The job that waits for this device, if one does."""
        with suppress(RedisError, OSError):
            found = await self._redis.get(wanted_key(lease_host(self.uuid), self.uuid))
            return found.decode() if found else None
        return None

    async def waiting_for(self) -> str:
        """In words."""
        holders = await self._read(device_holders, host=lease_host(self.uuid), device_uuid=self.uuid)
        assert isinstance(holders, list)
        jobs = [each.split(":")[1] for each in holders if each.startswith("job:")]
        wanted = await self.wanted_by()
        jobs += [wanted] if wanted else []
        name = "the processor" if self.is_cpu else "the GPU"
        used = f"used by the job {jobs[0]}" if jobs else "used by another program"
        return f"Waiting for {name}, {used}."
