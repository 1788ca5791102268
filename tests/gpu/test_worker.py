"""What a worker tells of its GPU, without loading CUDA, against what torch sees."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from tests.gpu.marks import NEEDS_GPU

pytestmark = [*NEEDS_GPU, pytest.mark.skipif(find_spec("django") is None, reason="Django is not installed")]


def devices(**environment: str) -> list[dict[str, object]]:
    from workers.identity import devices as listed

    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return listed()
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_gpu_is_listed_with_name_uuid_and_memory():
    (first, *_) = [each for each in devices() if each["name"] == torch.cuda.get_device_name()]
    properties = torch.cuda.get_device_properties(0)
    assert str(first["uuid"]).removeprefix("GPU-") == str(properties.uuid)
    assert first["mebibytes"] == pytest.approx(properties.total_memory / 2**20, rel=0.05)


def test_a_gpu_named_by_its_uuid_is_the_only_one_listed():
    uuid = str(devices()[0]["uuid"])
    assert [each["uuid"] for each in devices(CUDA_VISIBLE_DEVICES=uuid)] == [uuid]


def test_listing_devices_does_not_load_cuda():
    script = "import sys; from workers.identity import devices; devices(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
