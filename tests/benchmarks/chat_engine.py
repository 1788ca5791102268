"""What the benchmark of chat compares with: the engine by itself on the same requests, in a process of its own."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.chatting import TOKENS, question
from tests.benchmarks.live import milliseconds, run

COMMAND = [sys.executable, "-m", "tests.benchmarks.chat_engine"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["first", "many"])
    parser.add_argument("count", type=int, help="of requests")
    parser.add_argument("--places", type=int, default=1, help="requests at a time")
    run(_measure(parser.parse_args()))


def first_alone(count: int) -> dict[str, Any]:
    """So many first tokens, one request after the other."""
    found = subprocess.run(
        [*COMMAND, "first", str(count)], stdout=subprocess.PIPE, text=True, check=True, env=os.environ | ONE_THREAD
    )
    return dict(json.loads(found.stdout.strip().splitlines()[-1]))


@contextmanager
def engine_alone(count: int, places: int, core: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """The engine pinned to a core; each call has it do so many requests once more, and gives both ways' seconds."""
    command = ["taskset", "-c", str(core), *COMMAND, "many", str(count), "--places", str(places)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | ONE_THREAD, **pipes) as process:  # type: ignore[call-overload]

        def once_more() -> dict[str, Any]:
            process.stdin.write("\n")
            process.stdin.flush()
            while not (line := process.stdout.readline()).startswith("{"):
                if not line:
                    raise RuntimeError("the engine by itself ended")
            return dict(json.loads(line))

        once_more()  # once before it counts
        yield once_more


async def _measure(options: argparse.Namespace) -> None:
    """The first tokens, or all requests once for each line that it is given."""
    from meds3core.config.engine import TransformersEngineConfig
    from meds3core.engines.base import Message, Prompt, Request, Sampling
    from meds3core.engines.loading import load_engine
    from meds3core.sandbox.bundled import policy_folder
    from meds3core.text.steps import OPENER, header, render_step

    engine = load_engine(policy_folder(), TransformersEngineConfig(max_batch=64))

    def request(seed: int) -> Request:
        prompt = Prompt((Message("user", question(seed)),), (render_step(0, OPENER), header(1)))
        return Request(prompt, Sampling(max_tokens=TOKENS, temperature=1.0, seed=seed))

    async def first(seed: int) -> float:
        begun = time.perf_counter()
        found = 0.0
        async for delta in engine.stream(request(seed)):
            if delta.text and not found:
                found = time.perf_counter() - begun
        return 1000 * found

    async def streamed(seed: int) -> int:
        async for delta in engine.stream(request(seed)):
            if delta.completion is not None:
                return delta.completion.generated_tokens
        return 0

    async def generated(seed: int) -> int:
        return (await engine.generate(request(seed))).generated_tokens

    async def seconds(one: Any) -> float:
        places = asyncio.Semaphore(options.places)

        async def placed(seed: int) -> int:
            async with places:
                return int(await one(seed))

        begun = time.perf_counter()
        await asyncio.gather(*(placed(seed) for seed in range(options.count)))
        return time.perf_counter() - begun

    try:
        await first(0)
        if options.what == "first":
            print(json.dumps(milliseconds([await first(seed) for seed in range(options.count)])))
            return
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"generate": await seconds(generated), "stream": await seconds(streamed)}), flush=True)
    finally:
        await engine.close()


if __name__ == "__main__":
    main()
