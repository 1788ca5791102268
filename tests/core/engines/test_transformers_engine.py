"""The transformers engine against the library's own generation and forward pass."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.base import Completion, Message, Prompt, Request, Sampling
from meds3core.engines.transformers.attention import Rows, Step, Stretch, reach
from meds3core.engines.transformers.engine import TransformersEngine
from meds3core.engines.transformers.slots import Shelf
from meds3core.errors import ConfigError, ContextOverflow, EngineError
from tests.core.engines.tiny import CONTEXT, END, write_policy

CPU = TransformersEngineConfig(device="cpu")
KINDS = ("qwen2", "llama", "mistral")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("policies")
    return {kind: write_policy(root / kind, kind, seed=number) for number, kind in enumerate(KINDS)}


@pytest.fixture
async def engine(folders: dict[str, Path]) -> AsyncIterator[TransformersEngine]:
    loaded = TransformersEngine.load(folders["qwen2"], CPU)
    yield loaded
    await loaded.close()


@pytest.fixture(params=KINDS)
async def any_engine(folders: dict[str, Path], request: pytest.FixtureRequest) -> AsyncIterator[TransformersEngine]:
    loaded = TransformersEngine.load(folders[request.param], CPU)
    yield loaded
    await loaded.close()


@pytest.fixture
def stock(folders: dict[str, Path]) -> Iterator[Any]:
    with torch.inference_mode():
        yield lambda kind: AutoModelForCausalLM.from_pretrained(folders[kind], dtype=torch.float32)


def prompt(number: int, *, length: int | None = None) -> Prompt:
    random = Random(number)
    words = random.choices(["dose", "mg", "Step", "answer", "The", "x", "12", "é"], k=length or random.randint(1, 25))
    return Prompt((Message("user", " ".join(words)),), ("Step 0: is\n\n", "Step 1:"))


def request(number: int, max_tokens: int = 30, **sampling: Any) -> Request:
    length = sampling.pop("length", None)
    defaults = {"temperature": 1.0, "top_p": 0.95, "seed": number}
    return Request(prompt(number, length=length), Sampling(max_tokens=max_tokens, **(defaults | sampling)))


def encode(engine: TransformersEngine, wanted: Prompt) -> list[int]:
    tokenizer = engine.model.tokenizer
    ids = tokenizer.encode(wanted.messages[0].content + "\n\n")
    for piece in wanted.pieces:
        ids += tokenizer.encode(piece, add_special_tokens=False)
    return list(ids)


def text_of(completion: Completion) -> tuple[str, str, int]:
    return completion.text, completion.finish, completion.generated_tokens


async def gather(engine: TransformersEngine, requests: list[Request]) -> list[Completion]:
    return list(await asyncio.gather(*[engine.generate(each) for each in requests]))


async def test_greedy_equals_generate(any_engine: TransformersEngine, folders: dict[str, Path], stock: Any) -> None:
    kind = any_engine.info.model
    model = stock(kind)
    requests = [request(number, 40, temperature=0.0, stop=()) for number in range(24)]
    for each, completion in zip(requests, await gather(any_engine, requests), strict=True):
        ids = torch.tensor([encode(any_engine, each.prompt)])
        out = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1] :].tolist()
        assert completion.text == any_engine.model.tokenizer.decode(out, skip_special_tokens=True)
        assert completion.generated_tokens == len(out)
        assert completion.finish == ("end" if out[-1] == 1 else "length")
        assert completion.prompt_tokens == ids.shape[1]


async def test_same_seed_same_text_whatever_the_company(any_engine: TransformersEngine) -> None:
    requests = [request(number, 30) for number in range(40)]
    together = await gather(any_engine, requests)
    assert len({completion.text for completion in together}) > 30
    for each, completion in zip(requests, together, strict=True):
        assert text_of(await any_engine.generate(each)) == text_of(completion)


async def test_another_seed_gives_another_text_and_any_integer_is_a_seed(engine: TransformersEngine) -> None:
    texts = [text_of(await engine.generate(request(1, seed=seed))) for seed in (0, 1, -1, 2**64 + 5, 2**200, 0)]
    assert len(set(texts[:4])) == 4
    assert texts[0] == texts[5]


async def test_first_tokens_follow_the_models_distribution(engine: TransformersEngine, stock: Any) -> None:
    count = 3000
    logits = stock("qwen2")(torch.tensor([encode(engine, prompt(1))])).logits[0, -1]
    expected = torch.softmax(logits, -1)
    completions = await gather(engine, [
        Request(prompt(1), Sampling(max_tokens=1, seed=seed)) for seed in range(count)
    ])  # fmt: skip
    texts = [completion.text for completion in completions]
    for token in expected.topk(5).indices.tolist():
        share = expected[token].item()
        text = engine.model.tokenizer.decode([token], skip_special_tokens=True)
        if "\N{REPLACEMENT CHARACTER}" not in text:
            assert abs(texts.count(text) / count - share) < 4 * (share * (1 - share) / count) ** 0.5


async def test_completions_may_end_by_themselves(engine: TransformersEngine) -> None:
    completions = await gather(engine, [request(number, 150, top_p=1.0, temperature=1.5) for number in range(60)])
    ended = [completion for completion in completions if completion.finish == "end"]
    assert ended
    assert all(END not in completion.text and completion.generated_tokens <= 150 for completion in ended)


async def test_stop_strings_end_the_text_before_them_also_across_tokens(engine: TransformersEngine) -> None:
    whole = (await engine.generate(request(3, 60, temperature=0.0))).text
    requests, expected = [], []
    for start in range(2, len(whole) - 8):
        for length in (1, 3, 7):
            stop = whole[start : start + length]
            if "\N{REPLACEMENT CHARACTER}" not in stop:
                requests.append(request(3, 60, temperature=0.0, stop=("never this", stop)))
                expected.append(whole[: whole.index(stop)])
    completions = await gather(engine, requests)
    assert len(requests) > 10
    assert [(c.text, c.finish) for c in completions] == [(text, "stop") for text in expected]
    assert min(c.generated_tokens for c in completions) < 10


async def test_logits_in_company_equal_those_alone(any_engine: TransformersEngine, stock: Any) -> None:
    """Rows of unequal length on two shelves, beside prompt stretches; what the shelf held before must not matter."""
    reference, packed = stock(any_engine.info.model), any_engine.model
    random = torch.Generator().manual_seed(1)
    sequences = [torch.randint(2, packed.vocabulary, (n,), generator=random) for n in (5, 60, 33, 9, 70, 18, 1, 47)]
    rows, prompts = sequences[:6], sequences[6:]
    with torch.inference_mode():
        shelves, step_rows, tokens, positions = [Shelf(packed.shape, 64), Shelf(packed.shape, 96)], [], [], []
        for shelf, members in ((shelves[0], (0, 2, 3, 5)), (shelves[1], (1, 4))):
            for row in members:
                block = packed.shape.block(len(rows[row]) - 1)
                stretch = Stretch(block, 0, len(rows[row]) - 1, 0)
                packed.logits(rows[row][:-1], torch.arange(len(rows[row]) - 1), Step((), [stretch]), torch.tensor([0]))
                shelf.append([row], torch.full((2, 2, packed.shape.heads, shelf.capacity - 1, 16), 1e4))
                shelf.memory[:, :, len(shelf.rows) - 1, :, : block.shape[3]] = block
            places = np.array([len(rows[row]) - 1 for row in members])
            here = torch.from_numpy(places)
            to = reach(places, shelf.capacity)
            step_rows.append(Rows(shelf, len(tokens), here, to, torch.arange(len(members)), everyone=True))
            tokens += [int(rows[row][-1]) for row in members]
            positions += places.tolist()
        stretches, wanted = [], list(range(len(tokens)))
        for ids in prompts:
            block = packed.shape.block(len(ids))
            first = len(ids) // 2
            if first:
                packed.logits(
                    ids[:first], torch.arange(first), Step((), [Stretch(block, 0, first, 0)]), torch.tensor([0])
                )
            stretches.append(Stretch(block, len(tokens), len(tokens) + len(ids) - first, first))
            tokens += ids[first:].tolist()
            positions += range(first, len(ids))
            wanted.append(len(tokens) - 1)
        step = Step(step_rows, stretches)
        logits = packed.logits(torch.tensor(tokens), torch.tensor(positions), step, torch.tensor(wanted))
        for row, got in zip([0, 2, 3, 5, 1, 4, 6, 7], logits, strict=True):
            torch.testing.assert_close(got, reference(sequences[row][None]).logits[0, -1], rtol=1e-4, atol=1e-4)


async def test_loglikelihood_is_the_sum_over_the_tokens(any_engine: TransformersEngine, stock: Any) -> None:
    model = stock(any_engine.info.model)
    continuations = ["Reason", "Finish", " 12 mg", "", "e", " The answer is 12 mg, Step by Step" * 3]
    batches = [any_engine.loglikelihood(prompt(number), continuations) for number in range(6)]
    others = [any_engine.generate(request(number, 20)) for number in range(6)]
    results = (await asyncio.gather(*batches, *others))[:6]
    for number, values in enumerate(results):
        ids = encode(any_engine, prompt(number))
        assert isinstance(values, list)
        for text, value in zip(continuations, values, strict=True):
            more = any_engine.model.tokenizer.encode(text, add_special_tokens=False)
            likelihood = torch.log_softmax(model(torch.tensor([ids + more])).logits[0], -1)
            expected = sum(likelihood[len(ids) - 1 + at, token].item() for at, token in enumerate(more))
            assert value == pytest.approx(expected, abs=2e-3)
    assert await any_engine.loglikelihood(prompt(0), []) == []


async def test_streams_give_the_same_completion(engine: TransformersEngine) -> None:
    for number in range(8):
        whole = await engine.generate(request(number, 40, stop=(" mg", "e")))
        deltas = [delta async for delta in engine.stream(request(number, 40, stop=(" mg", "e")))]
        assert "".join(delta.text for delta in deltas) == whole.text
        assert [delta.completion is None for delta in deltas] == [True] * (len(deltas) - 1) + [False]
        final = deltas[-1].completion
        assert final is not None
        assert text_of(final) == text_of(whole)
    assert len([delta async for delta in engine.stream(request(1, 40))]) > 1


async def test_a_stream_that_is_left_frees_its_slot(engine: TransformersEngine) -> None:
    stream = engine.stream(request(1, 200))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    await idle(engine)


async def test_a_stream_raises_what_went_wrong(engine: TransformersEngine) -> None:
    with pytest.raises(ContextOverflow):
        async for _ in engine.stream(request(1, length=2 * CONTEXT)):
            pass


async def idle(engine: TransformersEngine) -> None:
    for _ in range(200):
        if engine.occupancy == (0, 0):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still busy: {engine.occupancy}")


async def test_cancelling_frees_the_slot(folders: dict[str, Path]) -> None:
    engine = TransformersEngine.load(folders["qwen2"], TransformersEngineConfig(device="cpu", max_batch=2))
    expected = text_of(await engine.generate(request(9, 20)))
    tasks = [asyncio.create_task(engine.generate(request(number, 200, top_p=1.0))) for number in range(6)]
    tasks.append(asyncio.create_task(engine.loglikelihood(prompt(1), ["a b c"])))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert engine.occupancy[0] == 2
    neighbour = asyncio.create_task(engine.generate(request(9, 20)))
    for task in tasks:
        task.cancel()
    assert text_of(await asyncio.wait_for(neighbour, 5)) == expected
    await idle(engine)
    assert all(task.cancelled() for task in tasks)
    await engine.close()


async def test_more_requests_than_rows_all_get_their_text(folders: dict[str, Path], engine: TransformersEngine) -> None:
    small = TransformersEngine.load(folders["qwen2"], TransformersEngineConfig(device="cpu", max_batch=3))
    requests = [request(number // 2, 20, seed=number) for number in range(20)]
    assert [text_of(c) for c in await gather(small, requests)] == [text_of(c) for c in await gather(engine, requests)]
    await small.close()


async def test_a_prompt_beyond_the_context_is_refused_alone(engine: TransformersEngine) -> None:
    results = await asyncio.gather(
        engine.generate(request(1)), engine.generate(request(2, length=2 * CONTEXT)), return_exceptions=True
    )
    assert isinstance(results[0], Completion)
    assert isinstance(results[1], ContextOverflow)
    with pytest.raises(ContextOverflow):
        await engine.loglikelihood(prompt(1), [" dose" * CONTEXT])


async def test_a_limit_beyond_the_context_is_cut_to_it(folders: dict[str, Path]) -> None:
    config = TransformersEngineConfig(device="cpu", context_length=64)
    engine = TransformersEngine.load(folders["qwen2"], config)
    assert engine.info.context_length == 64
    for completion in await gather(engine, [request(number, 1000, length=8) for number in range(8)]):
        used = completion.prompt_tokens + completion.generated_tokens
        assert completion.finish == "end" or (completion.finish == "length" and used == 64)
    await engine.close()


async def test_an_error_hurts_only_its_own_request(engine: TransformersEngine) -> None:
    requests = [request(number, 25) for number in range(12)]
    expected = [text_of(completion) for completion in await gather(engine, requests)]
    bad = engine.model.tokenizer.encode("%")[0]

    def explode(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if (kwargs["input_ids"] == bad).any():
            raise RuntimeError("planted")

    hook = engine.model.model.register_forward_pre_hook(explode, with_kwargs=True)
    planted = [Request(Prompt((Message("user", f"a % b {n}"),)), Sampling(max_tokens=9)) for n in range(3)]
    results = await asyncio.gather(*map(engine.generate, [*planted, *requests, *planted]), return_exceptions=True)
    hook.remove()
    failed, fine = [*results[:3], *results[-3:]], results[3:-3]
    assert all(isinstance(error, EngineError) and "planted" in str(error) for error in failed)
    # A row that itself draws the planted token fails too.
    for result, text in zip(fine, expected, strict=True):
        assert isinstance(result, EngineError) if isinstance(result, BaseException) else text_of(result) == text
    assert sum(isinstance(result, Completion) for result in fine) > 6
    await idle(engine)
    assert text_of((await gather(engine, requests))[0]) == expected[0]


async def test_a_request_without_finite_probabilities_poisons_nobody(folders: dict[str, Path]) -> None:
    engine = TransformersEngine.load(folders["qwen2"], CPU)
    bad = engine.model.tokenizer.encode("%")[0]
    requests = [request(number, 25, top_p=0.5) for number in range(12)]
    expected = [text_of(completion) for completion in await gather(engine, requests)]
    engine.model.model.get_input_embeddings().weight[bad] = torch.nan
    for _ in range(3):
        planted = [Request(Prompt((Message("user", f"a {'%' * n} b"),)), Sampling(max_tokens=9)) for n in (1, 2, 3)]
        results = await asyncio.gather(*map(engine.generate, [*planted, *requests]), return_exceptions=True)
        assert all(isinstance(error, EngineError) and "finite" in str(error) for error in results[:3])
        assert [text_of(r) for r in results[3:] if isinstance(r, Completion)] == expected
        with pytest.raises(EngineError):
            await engine.loglikelihood(planted[0].prompt, ["a"])
    await engine.close()


async def test_equal_and_longer_prompts_are_not_computed_anew(engine: TransformersEngine) -> None:
    parent = Prompt(prompt(1, length=25).messages, ("Step 0: is\n\n", "Step 1:"))
    child = Prompt(parent.messages, ("Step 0: is\n\n", "Step 1: The dose is 12 mg.\n\n", "Step 2:"))
    sampling = [Sampling(max_tokens=20, seed=seed) for seed in range(6)]
    fresh = [text_of(c) for c in await gather(engine, [Request(parent, each) for each in sampling])]
    again = await gather(engine, [Request(parent, each) for each in sampling])
    assert [text_of(completion) for completion in again] == fresh
    assert all(c.prompt_tokens - 16 <= c.cached_tokens <= c.prompt_tokens for c in again)
    children = await gather(engine, [Request(child, each) for each in sampling])
    assert min(c.cached_tokens for c in children) > 16
    assert engine._scheduler._prefixes is not None
    engine._scheduler._prefixes.clear()
    alone = await gather(engine, [Request(child, each) for each in sampling])
    assert min(c.cached_tokens for c in alone) == 0
    assert [text_of(c) for c in alone] == [text_of(c) for c in children]


async def test_batch_invariant_completions_are_exact(folders: dict[str, Path]) -> None:
    """Down to the last bit of every likelihood, with any company and after any history."""
    config = TransformersEngineConfig(device="cpu", batch_invariant=True)
    engine = TransformersEngine.load(folders["qwen2"], config)
    assert engine.info.batch_invariant
    logits: list[torch.Tensor] = []
    engine.model.model.register_forward_hook(lambda module, args, output: logits.append(output.logits.clone()))
    requests = [request(number, 25) for number in range(10)]
    alone = [text_of(await engine.generate(each)) for each in requests]
    first, logits[:] = [*logits], []
    values = [await engine.loglikelihood(prompt(number), ["Reason", "Finish"]) for number in range(4)]
    logits.clear()
    assert [text_of(c) for c in await gather(engine, requests)] == alone
    assert all(torch.equal(one, other) for one, other in zip(first, logits, strict=True))
    company = await asyncio.gather(
        *[engine.loglikelihood(prompt(number), ["Reason", "Finish"]) for number in range(4)],
        *map(engine.generate, requests),
    )
    assert company[:4] == values
    await engine.close()


async def test_closing_fails_what_is_pending(folders: dict[str, Path]) -> None:
    engine = TransformersEngine.load(folders["qwen2"], TransformersEngineConfig(device="cpu", max_batch=2))
    tasks = [asyncio.create_task(engine.generate(request(number, 200))) for number in range(5)]
    await asyncio.sleep(0.03)
    await engine.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, EngineError | Completion) for result in results)
    assert any(isinstance(result, EngineError) for result in results)
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(request(1))
    await engine.close()


@pytest.mark.parametrize("changes", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}])
async def test_senseless_sampling_is_refused(engine: TransformersEngine, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await engine.generate(request(1, **changes))


def test_two_engines_and_two_loops(folders: dict[str, Path]) -> None:
    engines = [TransformersEngine.load(folders[kind], CPU) for kind in ("qwen2", "llama")]
    first = [asyncio.run(engine.generate(request(1))).text for engine in engines]
    second = [asyncio.run(engine.generate(request(1))).text for engine in engines]
    assert first == second
    for engine in engines:
        asyncio.run(engine.close())
