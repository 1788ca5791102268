"""Shares of devices: never more than the whole, free again when their holder is gone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.jobs import devices
from webapp.jobs.models import DeviceLease

pytestmark = pytest.mark.django_db


def take(holder, share=0.5, device="gpu-1"):
    return devices.device_lease_take(host="here", device_uuid=device, holder=holder, share=share)


def test_a_device_is_never_lent_beyond_the_whole():
    assert take("job:a") and take("job:b")
    assert not take("chat")
    assert take("job:a"), "one's own lease is renewed, not taken twice"
    assert take("chat", 1.0, "gpu-2"), "another device"
    assert devices.device_holders(host="here", device_uuid="gpu-1") == ["job:a", "job:b"]
    devices.device_leases_release(holder="job:a")
    assert take("chat")


def test_a_lease_that_nobody_renews_ends_by_itself():
    take("job:a", 1.0)
    DeviceLease.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert devices.device_holders(host="here", device_uuid="gpu-1") == []
    assert take("job:b", 1.0)
    assert not devices.device_leases_renew(holder="job:a")
    assert devices.device_leases_renew(holder="job:b") == 1
