"""Which devices a worker has, as the driver tells it, and how a job takes them: all of its worker's or none."""

import os
from types import SimpleNamespace

import pytest

from meds3core.errors import Cancelled
from meds3core.progress import CancelToken
from tests.workers.people import team
from webapp.jobs.claims import job_claim, worker_register
from webapp.jobs.devices import device_holders, device_lease_take, device_leases_release
from webapp.jobs.models import DeviceLease, Job, JobEvent
from workers import devices as leasing
from workers import identity

ONE, TWO = "GPU-1111aaaa-0000", "GPU-2222bbbb-0000"
LISTED = f"{ONE}, NVIDIA H100, 81559, 570.12\n{TWO}, NVIDIA H100, [N/A], 570.12\nNo devices were found\n"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A machine whose `nvidia-smi` says what the test wants."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(identity, "DRIVER_FILES", tmp_path / "gpus")

    def says(text, code=0):
        (tmp_path / "said").write_text(text)
        tool.write_text(f"#!/bin/sh\ncat {tmp_path / 'said'}\nexit {code}\n")
        tool.chmod(0o755)

    says(LISTED)
    return SimpleNamespace(says=says, tool=tool, files=tmp_path / "gpus")


def seen():
    return [str(each["uuid"]) for each in identity.devices()]


def test_gpus_with_name_memory_and_driver(driver):
    first, second = identity.devices()
    assert first == {"uuid": ONE, "name": "NVIDIA H100", "mebibytes": 81559, "driver": "570.12"}
    assert "mebibytes" not in second


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        ("", ["cpu:0"]),
        ("-1", ["cpu:0"]),
        (TWO, [TWO]),
        ("GPU-2222", [TWO]),
        ("1,0", [TWO, ONE]),
        ("0,7,1", [ONE]),
        ("GPU-", ["cpu:0"]),
        ("MIG-9999", ["MIG-9999"]),
    ],
)
def test_the_variable_narrows_them_as_cuda_reads_it(driver, monkeypatch, variable, wanted):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert seen() == wanted


def test_without_the_tool_the_drivers_files_tell(driver):
    driver.says("NVIDIA-SMI has failed", code=9)
    assert seen() == ["cpu:0"]
    driver.tool.unlink()
    (driver.files / "0000:3b:00.0").mkdir(parents=True)
    (driver.files / "0000:3b:00.0" / "information").write_text(f"Model: \t NVIDIA A100\nGPU UUID: \t {ONE}\n")
    assert identity.devices() == [{"uuid": ONE, "name": "NVIDIA A100"}]


@pytest.fixture
def held(db):
    ward = team("Devices")
    job = Job.objects.create(team=ward, kind="sft", spec={}, spec_hash="", queue="gpu", state="queued")
    claim = job_claim(queue="gpu", worker=worker_register(name="w", queue="gpu"))
    return SimpleNamespace(job_id=job.pk, attempt=claim.attempt, cancel=CancelToken())


def test_a_job_takes_all_devices_of_its_worker_and_sees_no_others(driver, held, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert leasing.device_wait(held) == ONE
    assert os.environ["CUDA_VISIBLE_DEVICES"] == f"{ONE},{TWO}"
    mine = f"job:{held.job_id}:{held.attempt}"
    assert [device_holders(host="", device_uuid=each) for each in (ONE, TWO)] == [[mine], [mine]]
    assert not device_lease_take(host="", device_uuid=ONE, holder="chat:a", share=0.2), "whatever container asks"


def test_a_job_that_waits_holds_nothing_and_can_be_stopped(driver, held, monkeypatch):
    device_lease_take(host="", device_uuid=TWO, holder="chat:worker:1")
    held.cancel.cancel()
    with pytest.raises(Cancelled):
        leasing.device_wait(held)
    assert list(DeviceLease.objects.values_list("holder", flat=True)) == ["chat:worker:1"]
    held.cancel = CancelToken()
    # The module's own `time`: other threads of the process sleep as well.
    waits = SimpleNamespace(sleep=lambda _: device_leases_release(holder="chat:worker:1"))
    monkeypatch.setattr(leasing, "time", waits)
    leasing.device_wait(held)
    (said,) = JobEvent.objects.filter(text__startswith="Waiting").values_list("text", flat=True)
    assert said == f"Waiting for {TWO}, used by chat worker."


def test_a_share_can_be_left_for_chat(driver, held, settings):
    settings.JOBS_GPU_SHARE = 0.7
    leasing.device_wait(held)
    assert device_lease_take(host="", device_uuid=ONE, holder="chat:a", share=0.3)


def test_a_processor_has_room_for_two(driver, held, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert leasing.device_wait(held) == "cpu:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    host = leasing.lease_host("cpu:0")
    assert device_lease_take(host=host, device_uuid="cpu:0", holder="b", share=0.5)
    assert not device_lease_take(host=host, device_uuid="cpu:0", holder="c", share=0.5)
