"""What is foreseen of a model's memory is what loading it takes."""

import asyncio

import pytest

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.memory import loaded_dtype, token_bytes, weight_bytes
from meds3core.engines.policy import model_size
from meds3core.engines.transformers.engine import TransformersEngine
from meds3core.errors import EngineError
from meds3core.sandbox.bundled import policy_folder
from tests.core.engines.tiny import write_policy


@pytest.mark.parametrize("kind", ["qwen2", "llama", "bundled"])
def test_of_weights_and_of_a_token_in_the_cache(tmp_path, kind):
    folder = policy_folder() if kind == "bundled" else write_policy(tmp_path, kind)
    size = model_size(folder)
    for dtype in ("float32", "bfloat16"):
        engine = TransformersEngine.load(folder, TransformersEngineConfig(device="cpu", dtype=dtype))
        parameters = engine.model.model.parameters()
        assert weight_bytes(size, dtype) == sum(each.numel() * each.element_size() for each in parameters)
        assert token_bytes(size, dtype) == engine.model.shape.token_bytes
        asyncio.run(engine.close())
    assert loaded_dtype("auto", size.parameters, size.dtype, cuda=False) == "float32"
    assert loaded_dtype("auto", size.parameters, size.dtype, cuda=True) == "bfloat16"


def test_an_engine_keeps_to_the_cache_that_it_is_given():
    one_token = token_bytes(model_size(policy_folder()), "float32")
    assert 600 * one_token > 1 << 20

    async def play():
        engine = TransformersEngine.load(policy_folder(), TransformersEngineConfig(device="cpu", cache_mebibytes=1))
        short = Request(Prompt((Message("user", "2 + 3?"),)), Sampling(max_tokens=20, temperature=0.0))
        long = Request(short.prompt, Sampling(max_tokens=600, temperature=0.0))
        try:
            together = await asyncio.gather(*(engine.generate(short) for _ in range(12)))
            assert len({each.text for each in together}) == 1, "those for which there is no room yet wait"
            with pytest.raises(EngineError, match="key-value memory"):
                await engine.generate(long)
        finally:
            await engine.close()

    asyncio.run(play())
