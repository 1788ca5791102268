"""Whether the device is lost to this process: after some of CUDA's errors nothing can be computed in it ever again.

An illegal memory access or a failed assertion on the device spoils the process's CUDA context; every later call gives
the same error, and only another process has a working one. Imports no torch.
"""

import sys

_BEGINNINGS = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]")
_PASSING = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")
"""Memory that could not be had: there may be some again."""


def lost_device(error: BaseException) -> BaseException | None:
    """The error of the device that this one comes of, if since then nothing can be computed in this process."""
    found: BaseException | None = error
    while found is not None:
        words = str(found)
        if isinstance(found, RuntimeError) and words.startswith(_BEGINNINGS):
            return found if not any(each in words for each in _PASSING) and not _computes() else None
        found = found.__cause__ or found.__context__
    return None


def _computes() -> bool:
    """Whether CUDA takes calls yet; where it was never used there is only the error to go by."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
