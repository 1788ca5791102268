"""Leases of GPUs, and of `cpu:0` where there is none: taken by jobs and by chat alike before an engine is built.

A lease that nobody renews ends by itself, so the memory of a worker that vanished is free after one lease.
"""

from django.conf import settings
from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import Now

from webapp.jobs.models import Device, DeviceLease
from webapp.jobs.transitions import in_seconds

CPU = "cpu:0"
CPU_SHARE = 0.5
"""A CPU serves two engines at once."""
_ROUNDING = 1e-6


def device_lease_take(*, host: str, device_uuid: str, holder: str, share: float = 1.0) -> bool:
    """Take a share of a device's memory, or renew the holder's own; says whether there was room."""
    Device.objects.get_or_create(host=host, device_uuid=device_uuid)
    leases = DeviceLease.objects.filter(host=host, device_uuid=device_uuid)
    with transaction.atomic():
        # The device's row is the gate: those who want the same device come one after the other.
        Device.objects.filter(host=host, device_uuid=device_uuid).update(leases_taken=F("leases_taken") + 1)
        leases.filter(expires__lt=Now()).delete()
        taken = leases.exclude(holder=holder).aggregate(sum=Sum("memory_share"))["sum"] or 0.0
        if taken + share > 1.0 + _ROUNDING:
            return False
        wanted = {"memory_share": share, "expires": in_seconds(settings.JOBS_LEASE_SECONDS)}
        leases.update_or_create(host=host, device_uuid=device_uuid, holder=holder, defaults=wanted)
    return True


def device_leases_renew(*, holder: str) -> int:
    """Keep what the holder has for another lease; gives how many devices."""
    return DeviceLease.objects.filter(holder=holder).update(expires=in_seconds(settings.JOBS_LEASE_SECONDS))


def device_leases_release(*, holder: str) -> None:
    """Give back what the holder has."""
    DeviceLease.objects.filter(holder=holder).delete()


def device_holders(*, host: str, device_uuid: str) -> list[str]:
    """Who has a share of the device now."""
    rows = DeviceLease.objects.filter(host=host, device_uuid=device_uuid, expires__gte=Now())
    return list(rows.order_by("id").values_list("holder", flat=True))
