"""A search as its own process, to be killed: `python -m tests.core.search.kill_child FOLDER COUNT`."""

import asyncio
import random
import sys
from pathlib import Path

from meds3core.engines.scripted import ScriptedEngine
from meds3core.search.grow import grow, provenance
from meds3core.search.run import SearchManifest, run_search
from tests.core.search.toy import likelihood, make_question, make_tools, respond


async def search(folder: Path, count: int, latency: float = 0.0, **options):
    async def wait(request):
        await asyncio.sleep(latency * random.random())

    engine = ScriptedEngine(respond, likelihood=likelihood, latency=wait if latency else None)
    tools = make_tools(engine=engine)
    manifest = SearchManifest(provenance=provenance(tools), config=tools.config.model_dump(mode="json"))
    questions = [make_question(number) for number in range(count)]
    return await run_search(questions, lambda q: grow(q, tools), manifest, folder, concurrency=8, **options)


if __name__ == "__main__":
    print("started", flush=True)
    asyncio.run(search(Path(sys.argv[1]), int(sys.argv[2]), latency=0.03))
