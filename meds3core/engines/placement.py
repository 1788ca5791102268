"""Where a loaded model lies and in which precision, for everything that runs models in torch."""

import torch

from meds3core.config.engine import Dtype
from meds3core.engines.memory import loaded_dtype
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError


def chosen_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises `ConfigError` for a GPU where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigError(f"device is {name}, but torch finds no CUDA device here. Choose auto or cpu.")
        avoid_planned_attention()
    return torch.device(name)


def avoid_planned_attention() -> None:
    """Keep torch from cuDNN's attention, its first choice on recent GPUs; for the whole process, as torch offers it.

    It plans about 10 ms for every new shape, and here shapes change with every step and batch.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def chosen_dtype(name: Dtype, folder: PolicyFolder, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 on a GPU that has it; on a CPU float32, but for large models their stored precision."""
    chosen = loaded_dtype(name, folder.parameters, folder.dtype, cuda=device.type == "cuda")
    if name == "auto" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        chosen = "float16"
    dtype: torch.dtype = getattr(torch, chosen)
    return dtype
