"""Which device and which precision a model gets."""

from dataclasses import replace

import pytest
import torch

from meds3core.engines.placement import chosen_device, chosen_dtype
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError
from meds3core.sandbox.bundled import policy_folder

CPU = torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_gpu_that_is_not_there_is_refused():
    assert chosen_device("auto") == CPU
    with pytest.raises(ConfigError, match="no CUDA device"):
        chosen_device("cuda:1")


@pytest.mark.parametrize(
    ("parameters", "stored", "chosen"),
    [
        (10**6, "bfloat16", torch.float32),
        (10**9, "bfloat16", torch.bfloat16),
        (10**9, "float16", torch.float32),
    ],
)
def test_only_large_models_keep_their_stored_precision_on_a_cpu(parameters, stored, chosen):
    folder = replace(inspect_policy(policy_folder()), parameters=parameters, dtype=stored)
    assert chosen_dtype("auto", folder, CPU) == chosen
    assert chosen_dtype("float16", folder, CPU) == torch.float16
