"""When a device is lost to the process, and when an error only looks like it."""

import asyncio

import pytest
import torch

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.lost import lost_device
from meds3core.engines.transformers.engine import TransformersEngine
from meds3core.errors import EngineError, PolicyError
from meds3core.sandbox.bundled import policy_folder

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported later."


def wrapped(error: Exception) -> Exception:
    """As what loads a model would raise it."""
    try:
        try:
            raise error
        except RuntimeError as inner:
            raise PolicyError("cannot load this model") from inner
    except PolicyError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (torch.AcceleratorError(ILLEGAL), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), False),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
        (RuntimeError("The size of tensor a must match the size of tensor b"), False),
        (ValueError("CUDA error: said by a person"), False),
        (EngineError("HTTP 500: CUDA error: of a remote server"), False),
    ],
)
def test_by_its_kind_and_words_whatever_it_is_wrapped_in(error, lost):
    assert (lost_device(error) is not None) == lost
    assert (lost_device(EngineError.because("it failed", error)) is not None) == lost
    if isinstance(error, RuntimeError):
        assert (lost_device(wrapped(error)) is not None) == lost


def test_an_engine_tells_what_it_broke_of(monkeypatch):
    """The GPU is played: from some moment on every call gives its error."""

    def fails(*_):
        raise torch.AcceleratorError(ILLEGAL)

    async def play():
        engine = TransformersEngine.load(policy_folder(), TransformersEngineConfig(device="cpu"))
        request = Request(Prompt((Message("user", "2 + 3?"),)), Sampling(max_tokens=4, temperature=0.0))
        try:
            assert (await engine.generate(request)).generated_tokens
            with monkeypatch.context() as gpu:
                gpu.setattr(torch.nn.Embedding, "forward", fails)
                with pytest.raises(EngineError) as alone:  # one request failed
                    await engine.generate(request)
                gpu.setattr(torch, "full", fails)
                with pytest.raises(EngineError) as broken:  # with its thread all of the engine
                    await engine.generate(request)
            assert not engine.works
            with pytest.raises(EngineError) as after:
                await engine.generate(request)
        finally:
            await engine.close()
        return alone.value, broken.value, after.value

    for error in asyncio.run(play()):
        assert str(lost_device(error)) == ILLEGAL
