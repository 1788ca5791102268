"""The scripted engine keeps the protocol's promises."""

import asyncio

import pytest

from meds3core.engines.base import Completion, EngineInfo, Message, Prompt, Request, Sampling
from meds3core.engines.scripted import (
    Recording,
    RecordingEngine,
    ScriptedEngine,
    ScriptedReply,
    likelihood_key,
    request_key,
)
from meds3core.errors import ContextOverflow, EngineError, UserError


def request(text="Question?", pieces=(), **sampling):
    prompt = Prompt((Message("user", text),), tuple(pieces))
    return Request(prompt, Sampling(**{"max_tokens": 50, **sampling}))


def engine_saying(text, **options):
    return ScriptedEngine(lambda _: text, **options)


async def test_a_reply_that_fits_ends_with_the_closing_token_counted():
    completion = await engine_saying("one two.").generate(request(max_tokens=4))
    assert completion == Completion("one two.", "end", generated_tokens=4, prompt_tokens=3)


async def test_a_reply_as_long_as_the_limit_was_cut_before_it_closed():
    completion = await engine_saying("one two.").generate(request(max_tokens=3))
    assert (completion.text, completion.finish, completion.generated_tokens) == ("one two.", "length", 3)


async def test_a_reply_that_does_not_close_is_cut():
    completion = await engine_saying(ScriptedReply("one two", closes=False)).generate(request())
    assert (completion.text, completion.finish, completion.generated_tokens) == ("one two", "length", 2)


async def test_the_earliest_stop_string_cuts_and_is_left_out():
    completion = await engine_saying("a b\n\nStep 2: c END").generate(request(stop=("END", "\n\nStep")))
    assert (completion.text, completion.finish, completion.generated_tokens) == ("a b", "stop", 3)


async def test_a_stop_string_behind_the_limit_does_not_count():
    completion = await engine_saying("a b c d STOP").generate(request(stop=("STOP",), max_tokens=4))
    assert (completion.text, completion.finish) == ("a b c d", "length")


async def test_context_limits_the_completion_and_then_the_prompt():
    long = engine_saying("a b c d e f", context_length=6)
    assert (await long.generate(request("one two three"))).text == "a b"
    with pytest.raises(ContextOverflow, match="6"):
        await long.generate(request("1 2 3 4 5 6"))


async def test_an_error_hurts_only_its_request():
    def respond(asked):
        return EngineError("broken") if asked.sampling.seed == 1 else "fine"

    engine = ScriptedEngine(respond)
    results = await asyncio.gather(*(engine.generate(request(seed=seed)) for seed in range(3)), return_exceptions=True)
    assert isinstance(results[1], EngineError)
    assert [results[0].text, results[2].text] == ["fine", "fine"]


async def test_shuffled_order_changes_arrival_and_nothing_else():
    async def run(shuffle):
        arrived = []
        engine = ScriptedEngine(lambda asked: f"seed {asked.sampling.seed}", shuffle=shuffle)

        async def one(seed):
            completion = await engine.generate(request(seed=seed))
            arrived.append(seed)
            return completion

        results = await asyncio.gather(*(one(seed) for seed in range(20)))
        assert engine.requests == engine.max_in_flight == 20 and engine.in_flight == 0
        return results, arrived

    plain, in_order = await run(None)
    shuffled, other_order = await run(7)
    assert plain == shuffled
    assert in_order == list(range(20)) != other_order


async def test_latency_and_cancellation_free_the_slot():
    engine = ScriptedEngine(lambda _: "late", latency=lambda _: asyncio.sleep(3600))
    task = asyncio.create_task(engine.generate(request()))
    await asyncio.sleep(0)
    assert engine.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.in_flight == 0


async def test_stream_adds_up_to_the_completion():
    engine = engine_saying("one two. three\n\nfour")
    deltas = [delta async for delta in engine.stream(request(stop=("four",)))]
    assert "".join(delta.text for delta in deltas) == deltas[-1].completion.text == "one two. three\n\n"
    assert [delta.completion for delta in deltas[:-1]] == [None] * (len(deltas) - 1)


async def test_likelihoods_come_from_the_function_or_not_at_all():
    prompt = Prompt((Message("user", "?"),))
    engine = engine_saying("", likelihood=lambda _, continuation: -float(len(continuation)))
    assert await engine.loglikelihood(prompt, ["Reason", "No"]) == [-6.0, -2.0]
    with pytest.raises(EngineError, match="no likelihoods"):
        await engine_saying("").loglikelihood(prompt, ["Reason"])


async def test_a_closed_engine_refuses():
    engine = engine_saying("x")
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(request())


async def test_a_recording_replays_after_a_round_trip(tmp_path):
    inner = ScriptedEngine(
        lambda asked: f"answer {asked.sampling.seed}",
        likelihood=lambda _, continuation: -len(continuation) / 3,
        info=EngineInfo("scripted", "inner", "hash", 512),
    )
    recorder = RecordingEngine(inner)
    asked = [request(seed=seed) for seed in range(5)]
    said = [await recorder.generate(one) for one in asked]
    streamed = [delta.completion async for delta in recorder.stream(request(seed=9))][-1]
    likelihoods = await recorder.loglikelihood(asked[0].prompt, ["a", "bc"])
    assert recorder.asked == [*asked, request(seed=9)]

    recorder.recording.save(tmp_path / "golden.json")
    recording = Recording.load(tmp_path / "golden.json")
    assert recording == recorder.recording
    replaying = ScriptedEngine.replay(recording, shuffle=3)
    assert await asyncio.gather(*(replaying.generate(one) for one in asked)) == said
    assert await replaying.generate(request(seed=9)) == streamed
    assert await replaying.loglikelihood(asked[0].prompt, ["a", "bc"]) == likelihoods
    assert replaying.info == inner.info
    with pytest.raises(EngineError, match="no completion"):
        await replaying.generate(request(seed=99))
    with pytest.raises(EngineError, match="no likelihood"):
        await replaying.loglikelihood(asked[0].prompt, ["other"])


def test_a_foreign_file_is_no_recording(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match="not a recording"):
        Recording.load(tmp_path / "other.json")


def test_keys_depend_on_what_decides_the_completion_only():
    base = request_key(request(pieces=("ab", "c"), seed=1))
    assert base == request_key(request(pieces=("a", "bc"), seed=1))
    others = [
        request("Other?", ("abc",), seed=1),
        request(pieces=("abc",), seed=2),
        request(pieces=("abc",), seed=1, top_p=0.9),
        request(pieces=("abc",), seed=1, max_tokens=9),
        request(pieces=("abc",), seed=1, stop=("x",)),
    ]
    keys = {request_key(other) for other in others}
    assert len(keys) == len(others) and base not in keys
    assert request_key(request(temperature=0.0, seed=1)) == request_key(request(temperature=0.0, seed=2))
    prompt = Prompt((Message("user", "?"),), ("ab", "c"))
    assert likelihood_key(prompt, "x") != likelihood_key(prompt, "y")
