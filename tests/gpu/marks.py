"""Marks that every module of these tests carries, and what they measure of the device's memory."""

import gc

import pytest
import torch

NEEDS_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; this machine has none"),
]


def held() -> int:
    """Bytes that tensors take on the device, after whatever nobody refers to is gone.

    Without cuBLAS's workspaces: torch keeps one for every thread that ever multiplied, and uses it again.
    """
    gc.collect()
    torch.cuda.synchronize()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated()
