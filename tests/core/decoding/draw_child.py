"""Sampling as its own process, to be killed: `python -m tests.core.decoding.draw_child FOLDER COUNT N`."""

import asyncio
import random
import sys
from pathlib import Path

from meds3core.config.decoding import SampleConfig
from meds3core.decoding.samples import draw_samples
from meds3core.engines.scripted import ScriptedEngine
from meds3core.text.prompts import TEMPLATES
from tests.core.search.toy import make_question, respond


async def draw(folder: Path, count: int, n: int, latency: float = 0.0, engine=None, questions=None, **options):
    async def wait(request):
        await asyncio.sleep(latency * random.random())

    return await draw_samples(
        questions or [make_question(number) for number in range(count)],
        engine or ScriptedEngine(respond, latency=wait if latency else None, shuffle=3),
        TEMPLATES["plain"],
        SampleConfig(n=n, max_tokens=120),
        7,
        folder,
        **({"concurrency": 24} | options),
    )


if __name__ == "__main__":
    print("started", flush=True)
    asyncio.run(draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), latency=0.15))
