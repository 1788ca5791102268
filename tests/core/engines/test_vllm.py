"""The vLLM engine against real vLLM (its CPU build will do), compared with plain transformers."""

import asyncio
import json

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed (`make venv-vllm` adds its CPU build)")

import torch
from transformers import AutoModelForCausalLM

from meds3core.config.engine import VllmEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.loading import load_engine
from meds3core.engines.vllm.engine import VllmEngine
from meds3core.errors import ConfigError, ContextOverflow, EngineError, PolicyError
from tests.core.engines.tiny_llama import CONTEXT, save_adapter, save_policy

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(240)]
CONFIG = VllmEngineConfig(max_batch=256, cpu_cache_mebibytes=64)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def engine(policy):
    engine = load_engine(policy, CONFIG)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def reference(policy):
    return AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32).eval()


def prompt(number=0):
    question = f"How many mg is one dose for a child of {number} kg?"
    return Prompt((Message("user", question),), ("Step 0: The daily amount is 30 mg.\n\n", "Step 1:"))


def request(number=0, **sampling):
    return Request(prompt(number), Sampling(**{"max_tokens": 40, "seed": number, **sampling}))


async def together(engine, requests):
    return await asyncio.gather(*(engine.generate(one) for one in requests))


async def settled(engine):
    """What the engine holds once its step under way is over."""
    for _ in range(100):
        if not engine.unfinished:
            break
        await asyncio.sleep(0.02)
    return engine.unfinished


async def test_greedy_equals_transformers(engine, reference):
    encoder = engine._encoder
    asked = [request(number, temperature=0.0, max_tokens=24) for number in range(6)]
    for one, completion in zip(asked, await together(engine, asked), strict=True):
        ids = torch.tensor([encoder.encode(one.prompt)])
        written = reference.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :]
        # A character of which the limit cut off the last bytes is left out by vLLM, and shown as U+FFFD otherwise.
        assert completion.text == encoder.decode(written.tolist()).rstrip("\N{REPLACEMENT CHARACTER}")
        assert completion.prompt_tokens == ids.shape[1]
        assert completion.generated_tokens == len(written)


async def test_same_seed_same_text_alone_and_in_company(engine):
    asked = [request(number, max_tokens=8, top_p=0.95) for number in range(200)]
    company = await together(engine, asked)
    alone = [await engine.generate(one) for one in asked]
    differing = sum(one.text != other.text for one, other in zip(company, alone, strict=True))
    print(f"{differing} of {len(asked)} texts differ alone and in company")
    assert differing <= 2
    assert len({completion.text for completion in company}) > 190
    other_seed = await engine.generate(request(0, max_tokens=8, seed=12345))
    assert other_seed.text != company[0].text


async def test_seeds_of_any_size_are_taken(engine):
    texts = {(await engine.generate(request(seed=seed))).text for seed in (0, 2**64 - 2, 2**62, -5)}
    assert len(texts) == 4


async def test_finish_reasons(engine):
    completions = await together(engine, [request(number, max_tokens=80) for number in range(60)])
    ended = [completion for completion in completions if completion.finish == "end"]
    cut = [completion for completion in completions if completion.finish == "length"]
    assert ended and cut and len(ended) + len(cut) == 60
    assert all(completion.generated_tokens == 80 for completion in cut)
    assert not any("</s>" in completion.text for completion in ended)


async def test_stop_strings_end_the_text_before_them(engine):
    free = await engine.generate(request(3))
    stop = free.text[12:15]
    stopped = await engine.generate(request(3, stop=("never written", stop)))
    assert stopped.finish == "stop"
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.generated_tokens < free.generated_tokens


async def test_stream_adds_up_to_the_completion(engine):
    whole = await engine.generate(request(5))
    for stop in ((), (whole.text[20:24],)):
        expected = await engine.generate(request(5, stop=stop))
        deltas = [delta async for delta in engine.stream(request(5, stop=stop))]
        said = deltas[-1].completion
        assert "".join(delta.text for delta in deltas) == said.text == expected.text
        assert (said.finish, said.generated_tokens) == (expected.finish, expected.generated_tokens)
        assert len(deltas) > 3 and all(delta.completion is None for delta in deltas[:-1])


async def test_shared_beginnings_come_from_the_prefix_cache(engine):
    long = Prompt((Message("user", "The daily amount is 30 mg per kg. " * 10),), ("Step 0: x.\n\n",))
    longer = Prompt(long.messages, (*long.pieces, "Step 1: y.\n\n"))
    await engine.generate(Request(long, Sampling(max_tokens=1)))
    completion = await engine.generate(Request(longer, Sampling(max_tokens=1)))
    assert completion.cached_tokens >= 64


async def test_cancelling_frees_the_slot_and_spares_the_others(engine):
    expected = await engine.generate(request(7, max_tokens=100))
    kept = asyncio.create_task(engine.generate(request(7, max_tokens=100)))
    doomed = [asyncio.create_task(engine.generate(request(n, max_tokens=400))) for n in range(20)]
    await asyncio.sleep(0.05)
    assert engine.unfinished == 21
    for task in doomed:
        task.cancel()
    results = await asyncio.gather(*doomed, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await asyncio.sleep(0.1)
    assert engine.unfinished <= 1
    assert (await kept).text == expected.text
    assert await settled(engine) == 0


async def test_leaving_a_stream_frees_the_slot(engine):
    stream = engine.stream(request(1, max_tokens=400))
    await anext(stream)
    assert engine.unfinished == 1
    await stream.aclose()
    assert await settled(engine) == 0


async def test_an_error_hurts_only_its_request(engine):
    # A token that the model has no row for passes our side and is refused by vLLM itself.
    engine._encoder.tokenizer.add_tokens(["<unheard-of>"])
    foreign = Request(Prompt((Message("user", "<unheard-of>"),)), Sampling(max_tokens=5))
    asked = [request(1), request(2, stop=("",)), foreign, request(3, temperature=-1.0), request(4)]
    results = await asyncio.gather(*(engine.generate(one) for one in asked), return_exceptions=True)
    assert [isinstance(result, EngineError) for result in results] == [False, True, True, True, False]
    assert results[0] == await engine.generate(request(1))
    with pytest.raises(EngineError):
        [delta async for delta in engine.stream(foreign)]


async def test_context_cuts_the_completion_and_only_then_refuses(engine):
    size = len(engine._encoder.encode(Prompt((Message("user", ""),))))
    filler = engine._encoder.encode_piece(" mg")
    assert len(filler) == 1
    fits = Prompt((Message("user", ""),), (" mg",) * (CONTEXT - size - 3))
    completion = await engine.generate(Request(fits, Sampling(max_tokens=50, temperature=0.0)))
    assert completion.finish != "stop" and completion.generated_tokens <= 3
    full = Prompt(fits.messages, (" mg",) * (CONTEXT - size))
    with pytest.raises(ContextOverflow, match=str(CONTEXT)):
        await engine.generate(Request(full, Sampling(max_tokens=1)))
    with pytest.raises(ContextOverflow):
        await engine.loglikelihood(fits, [" mg mg mg mg mg"])


async def test_loglikelihood_equals_a_forward_pass(engine, reference):
    continuations = ["Reason", "Finish", " The answer is 30 mg.", "R", ""]
    values = await engine.loglikelihood(prompt(), continuations)
    start = engine._encoder.encode(prompt())
    for value, continuation in zip(values, continuations, strict=True):
        piece = engine._encoder.encode_piece(continuation)
        with torch.inference_mode():
            rows = reference(torch.tensor([[*start, *piece]])).logits[0].log_softmax(-1)
        expected = sum(float(rows[len(start) - 1 + i, token]) for i, token in enumerate(piece))
        assert value == pytest.approx(expected, abs=1e-3)
    assert await engine.loglikelihood(prompt(), continuations) == pytest.approx(values, abs=1e-4)


def test_one_engine_serves_several_event_loops(engine):
    texts = [asyncio.run(engine.generate(request(2))).text for _ in range(2)]
    assert texts[0] == texts[1]


async def test_adapter_equals_merged_weights_and_engines_close_and_reload(policy, tmp_path):
    save_adapter(policy, tmp_path / "adapter", tmp_path / "merged")
    config = CONFIG.model_copy(update={"max_batch": 32})
    adapted = VllmEngine.load(policy, config.model_copy(update={"adapter": str(tmp_path / "adapter")}))
    asked = [request(number, temperature=0.0, max_tokens=20) for number in range(4)]
    with_adapter = await together(adapted, asked)
    likelihoods = await adapted.loglikelihood(prompt(), ["Reason", "Finish"])
    assert adapted.info.model.endswith("+adapter")

    pending = asyncio.create_task(adapted.generate(request(1, max_tokens=400)))
    await asyncio.sleep(0.05)
    await adapted.close()
    with pytest.raises(EngineError, match="closed"):
        await pending
    with pytest.raises(EngineError, match="closed"):
        await adapted.generate(request(1))

    merged = VllmEngine.load(tmp_path / "merged", config)
    assert merged.info.model_hash != adapted.info.model_hash
    with_merged = await together(merged, asked)
    assert [one.text for one in with_adapter] == [one.text for one in with_merged]
    assert likelihoods == pytest.approx(await merged.loglikelihood(prompt(), ["Reason", "Finish"]), abs=1e-3)
    await merged.close()

    again = VllmEngine.load(policy, config)
    plain = await together(again, asked)
    assert [one.text for one in plain] != [one.text for one in with_merged]
    await again.close()
    await again.close()


def test_a_cache_too_small_for_one_sequence_is_named(policy, tmp_path):
    for file in policy.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"max_position_embeddings": 1 << 17}))
    with pytest.raises(ConfigError, match="cpu_cache_mebibytes"):
        load_engine(tmp_path, CONFIG)


def test_an_adapter_without_safetensors_is_refused(policy, tmp_path):
    with pytest.raises(PolicyError, match="no adapter_model"):
        load_engine(policy, VllmEngineConfig(adapter=str(tmp_path)))


def test_what_it_says_about_itself(engine, policy):
    assert (engine.info.kind, engine.info.model, engine.info.context_length) == ("vllm", policy.name, CONTEXT)
    assert len(engine.info.model_hash) == 32
