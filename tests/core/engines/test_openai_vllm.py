"""The OpenAI engine against the real server of vLLM, compared with vLLM in this process."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

pytest.importorskip("vllm", reason="vLLM is not installed (`make venv-vllm` adds its CPU build)")

from meds3core.config.engine import OpenAIEngineConfig, VllmEngineConfig
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.loading import load_engine
from meds3core.engines.openai.engine import OpenAIEngine
from meds3core.errors import ContextOverflow, EngineError
from tests.core.engines.tiny_llama import CONTEXT, save_policy

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
STARTS_WITHIN = 180


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def address(policy, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    options = (
        "--dtype float32 --enforce-eager --block-size 32 --max-num-seqs 64 --host 127.0.0.1 --no-enable-chunked-prefill"
    )
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(policy), *options.split()]
    command += ["--port", str(port), "--kv-cache-memory-bytes", str(64 << 20), "--max-num-batched-tokens", "4096"]
    environment = os.environ | {"VLLM_NO_USAGE_STATS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while not _is_up(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _is_up(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def request(number=0, **sampling):
    question = f"How many mg is one dose for a child of {number} kg?"
    prompt = Prompt((Message("user", question),), ("Step 0: The daily amount is 30 mg.\n\n", "Step 1:"))
    return Request(prompt, Sampling(**{"max_tokens": 24, "seed": number, **sampling}))


async def test_the_server_says_what_vllm_says_in_process(policy, address):
    remote = load_engine(policy, OpenAIEngineConfig(base_url=address))
    assert (remote.info.kind, remote.info.context_length) == ("openai", CONTEXT)
    local = load_engine(policy, VllmEngineConfig(max_batch=64, cpu_cache_mebibytes=64))
    free = await local.generate(request(3))
    stop = free.text[12:15]
    asked = [request(number) for number in range(12)]
    asked += [request(number, temperature=0.0) for number in range(4)]
    asked += [request(3, stop=(stop,)), request(4, max_tokens=400)]
    here = await asyncio.gather(*(local.generate(one) for one in asked))
    there = await asyncio.gather(*(remote.generate(one) for one in asked))
    same = [
        (one.text, one.finish, one.generated_tokens, one.prompt_tokens)
        == (other.text, other.finish, other.generated_tokens, other.prompt_tokens)
        for one, other in zip(here, there, strict=True)
    ]
    assert same.count(False) <= 1  # batch-dependent rounding may flip a token
    assert there[-2].finish == "stop" and there[-2].text == free.text[: free.text.index(stop)]

    deltas = [delta async for delta in remote.stream(request(3, stop=(stop,)))]
    assert "".join(delta.text for delta in deltas) == deltas[-1].completion.text == there[-2].text
    assert deltas[-1].completion.finish == "stop" and len(deltas) > 2

    continuations = ["Reason", "Finish", " The answer is 30 mg."]
    assert await remote.loglikelihood(request().prompt, continuations) == pytest.approx(
        await local.loglikelihood(request().prompt, continuations), abs=1e-3
    )

    chat = load_engine(policy, OpenAIEngineConfig(base_url=address, api="chat"))
    assert (await chat.generate(asked[12])).text == there[12].text  # this template leaves the turn begun as it is
    chunks = [delta async for delta in chat.stream(request(5))]
    assert chunks[-1].completion.text == (await chat.generate(request(5))).text

    too_long = Request(Prompt((Message("user", " mg" * CONTEXT),)), Sampling(max_tokens=1))
    by_name = OpenAIEngine(
        remote.info.model, OpenAIEngineConfig(base_url=address)
    )  # renders no template, counts no tokens
    for engine in (remote, by_name):
        with pytest.raises(ContextOverflow):
            await engine.generate(too_long)
    with pytest.raises(EngineError):
        await remote.generate(request(temperature=-1.0))

    tasks = [asyncio.create_task(remote.generate(request(n, max_tokens=400))) for n in range(8)]
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await _drains(address)
    for engine in (remote, by_name, chat, local):
        await engine.close()


async def _drains(address):
    """Whether the server soon runs and keeps no request any more."""
    async with httpx.AsyncClient() as client:
        for _ in range(50):
            metrics = (await client.get(address.removesuffix("/v1") + "/metrics")).text
            counts = [
                float(line.rsplit(" ", 1)[1])
                for line in metrics.splitlines()
                if line.startswith(("vllm:num_requests_running", "vllm:num_requests_waiting{"))
            ]
            if counts and not any(counts):
                return True
            await asyncio.sleep(0.1)
    return False
