"""Benchmark of chat with the bundled policy on a CPU: real uvicorn, Redis and chat worker, sockets as pages open them.

- the first token on an idle worker, from the page's request until its socket tells it, against the engine's own;
- a step's score, from the moment when the page is told that the step has ended;
- *stop*, from the request until the answer is over, its slot free;
- many chats at once, the next one asked as soon as one is answered, against the same engine by itself with as many
  requests at once, pinned to the same core; everything else is on the other;
- many streams through one web process: what each was told, put together, against the row.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import psutil

from meds3core.evaluation.intervals import Estimate, cluster_bootstrap
from tests.benchmarks.chat_engine import engine_alone, first_alone
from tests.benchmarks.chatting import (
    all_ask,
    answering,
    conversation_make,
    conversations_make,
    question,
    reward_model,
    state_of,
    texts_of,
    tokens_of,
)
from tests.benchmarks.live import cookie, messages, milliseconds, open_socket, run, running_studio
from tests.browser.studio import Studio

BEGINNING = "Step 0: Let's break down this problem step by step.\n\nStep 1:"
"""Of every answer in steps; not generated."""
ROUNDS = 4
"""Chats that take the place of each that was answered, so that the beginning and the end weigh little."""
PAIRS = 16
"""Times that chats and the engine by itself are measured in turn: on a machine shared with others each is some 15% off,
and only many tell one share from another."""
HEADER = re.compile(r"\n\nStep ([0-9]+):")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=30, help="one after the other, for the first token and the scores")
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--chats", type=int, default=50)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args()
    with running_studio() as studio:
        settings = {"OMP_NUM_THREADS": "1", "MEDS3_JOBS_TEMPO": "1"}
        studio.start_chat(MEDS3_CHAT_TURNS=str(max(64, options.streams)), **settings)
        page = Page(studio, cookie(studio, "anna"))
        studio.call(reward_model, username="anna")
        run(_warm(page))
        figures = {
            "first_token": run(_first_tokens(page, options.turns)) | {"engine": first_alone(options.turns)},
            "scores": run(_scores(page, options.turns)),
            "stop": run(_stops(page, options.stops)),
            "streams": run(_streams(page, options.streams)),
        }
        studio.kill_chat()
        studio.start_chat(MEDS3_CHAT_TURNS=str(options.chats), **settings)
        run(_warm(page))
        figures["many"] = _pinned(studio, page, options)
    own = figures["first_token"]["engine"]["p95_ms"]
    figures["first_token"] |= {"more_ms": round(figures["first_token"]["p95_ms"] - own), "wanted_more_ms": 150}
    print(json.dumps(figures))


# --- a page, as its script talks to the server -----------------------------------------------------------------------


class Page:
    """A person's pages."""

    def __init__(self, studio: Studio, cookies: str) -> None:
        self.studio, self.cookies = studio, cookies
        self.team = "ward"

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Signed in, with the token against forged requests."""
        name, _, value = self.cookies.partition("=")
        async with httpx.AsyncClient(base_url=self.studio.url, cookies={name: value}, timeout=60) as client:
            await client.get(f"/t/{self.team}/chat/")
            client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
            client.headers["HX-Request"] = "true"
            yield client


@dataclass
class Heard:
    """What a socket told of one answer."""

    text: str
    began: float
    """When the first word came that the model wrote."""
    ended: float
    steps: dict[int, float]
    """When each step was known to have ended, by the header of the next."""
    scores: dict[int, float]
    """When its score came."""
    message: str = ""


async def hear(socket: Any, said: asyncio.Event | None = None) -> Heard:
    """One answer to its end. `said`: set when the page has asked; an answer that is over by then is not followed."""
    found = Heard("", 0.0, 0.0, {}, {})
    async for moment, news in messages(socket):
        if news["type"] == "open" and not news["ids"] and said is not None and said.is_set():
            found.began = found.began or moment
            found.ended = moment
            return found
        if news["type"] != "news":
            continue
        found.message = news["id"]
        found.text = news["text"] if news["whole"] else found.text + news["text"]
        begun = len(found.text) > (len(BEGINNING) if BEGINNING.startswith(found.text[:20]) and found.text else 0)
        if begun and not found.began:
            found.began = moment
        for match in HEADER.finditer(found.text):
            found.steps.setdefault(int(match[1]) - 1, moment)
        for number, score in enumerate(news.get("scores") or ()):
            if score is not None:
                found.scores.setdefault(number, moment)
        if news["over"]:
            found.ended = moment
            return found
    raise RuntimeError("the socket was closed before the answer ended")


async def _one(page: Page, client: httpx.AsyncClient, **settings: Any) -> tuple[float, Heard]:
    """Ask in a new conversation; the moment before the request, and what was told."""
    conversation = page.studio.call(conversation_make, username="anna", **settings)
    socket = await open_socket(page.studio, f"/ws/t/{page.team}/chat/{conversation}/", page.cookies)
    try:
        said = asyncio.Event()
        hearing = asyncio.create_task(hear(socket, said))
        await asyncio.sleep(0.2)
        asked = time.time()
        answer = await client.post(
            f"/t/{page.team}/chat/{conversation}/say/", data={"text": question(settings["seed"])}
        )
        answer.raise_for_status()
        said.set()
        await socket.send("look")  # as the page does
        return asked, await hearing
    finally:
        await socket.close()


async def _warm(page: Page) -> None:
    async with page.client() as client:
        await _one(page, client, seed=0, scored=True)


async def _first_tokens(page: Page, count: int) -> dict[str, Any]:
    waits = []
    async with page.client() as client:
        for seed in range(count):
            asked, heard = await _one(page, client, seed=seed)
            waits.append(1000 * (heard.began - asked))
    return milliseconds(waits)


async def _scores(page: Page, count: int) -> dict[str, Any]:
    waits = []
    async with page.client() as client:
        for seed in range(count):
            _, heard = await _one(page, client, seed=seed, scored=True)
            waits += [1000 * (heard.scores[at] - moment) for at, moment in heard.steps.items() if at in heard.scores]
    return milliseconds([max(0.0, wait) for wait in waits]) | {"wanted_ms": 500}


async def _stops(page: Page, count: int) -> dict[str, Any]:
    waits = []
    async with page.client() as client:
        seed = 0
        while len(waits) < count:
            seed += 1
            conversation = page.studio.call(conversation_make, username="anna", seed=seed, long=True)
            socket = await open_socket(page.studio, f"/ws/t/{page.team}/chat/{conversation}/", page.cookies)
            said = asyncio.Event()
            hearing = asyncio.create_task(hear(socket, said))
            await asyncio.sleep(0.2)
            await client.post(f"/t/{page.team}/chat/{conversation}/say/", data={"text": "Tell me everything."})
            said.set()  # stopped at once, it may be over before the socket has looked
            await socket.send("look")
            message = page.studio.call(answering, conversation=conversation)
            if message:
                asked = time.time()
                await client.post(f"/t/{page.team}/chat/{conversation}/messages/{message}/stop/")
                heard = await hearing
                if page.studio.call(state_of, message=message) == "stopped":  # it was not over before
                    waits.append(1000 * (heard.ended - asked))
            hearing.cancel()
            await socket.close()
    return milliseconds(waits) | {"wanted_ms": 300}


async def _streams(page: Page, count: int) -> dict[str, Any]:
    """So many answers at once, each followed by a socket of its own."""
    made = page.studio.call(conversations_make, username="anna", count=count)
    sockets = [await open_socket(page.studio, f"/ws/t/{page.team}/chat/{each}/", page.cookies) for each in made]
    hearing = [asyncio.create_task(hear(socket)) for socket in sockets]
    begun = await _all_asked(page, made, sockets)
    heard = await asyncio.wait_for(asyncio.gather(*hearing), 300)
    took = time.time() - begun
    for socket in sockets:
        await socket.close()
    rows = page.studio.call(texts_of, messages=[each.message for each in heard])
    wrong = sum(rows[each.message] != each.text for each in heard)
    characters = sum(len(each.text) for each in heard)
    return {"streams": count, "wrong": wrong, "characters": characters, "seconds": round(took, 1)}


async def _all_asked(page: Page, made: list[str], sockets: list[Any]) -> float:
    """Ask in each conversation while the worker is held still, so that everybody follows from the first word.

    Gives the moment when it is let go.
    """
    os.kill(page.studio.chat_pid, signal.SIGSTOP)
    page.studio.call(all_ask, conversations=made)
    for socket in sockets:
        await socket.send("look")
    await asyncio.sleep(2)
    os.kill(page.studio.chat_pid, signal.SIGCONT)
    return time.time()


# --- many at once, each side on its core ---------------------------------------------------------------------------


def _pinned(studio: Studio, page: Page, options: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second of the chats, and of the engine by itself on the core where the worker was."""
    cores = sorted(os.sched_getaffinity(0))
    first, others = cores[0], cores[1:2] or cores[:1]
    worker = studio.chat_pid
    for process in psutil.Process().children(recursive=True):
        _pin(process.pid, [first] if process.pid == worker else others)
    _pin(worker, [first])
    _pin(os.getpid(), others)
    run(_chats(page, options.chats))  # once before it counts, as for the engine: both know the prompts by then
    chats, alone, engine_shares = [], [], []
    try:
        with engine_alone(options.chats * ROUNDS, options.chats, core=first) as once_more:
            for _ in range(PAIRS):
                before = _processor_seconds(worker)
                chats.append(run(_chats(page, options.chats)))
                spent = [now - before.get(thread, 0.0) for thread, now in _processor_seconds(worker).items()]
                engine_shares.append(max(spent) / sum(spent))
                _pin(worker, others)  # the engine alone has the core; held still, the worker would lose its leases
                alone.append(once_more())
                _pin(worker, [first])
    finally:
        for pid in (os.getpid(), *(each.pid for each in psutil.Process().children(recursive=True))):
            _pin(pid, cores)
    tokens = chats[0]["tokens"]
    seconds = {
        "chats": [each["seconds"] for each in chats],
        "generate": [each["generate"] for each in alone],
        "stream": [each["stream"] for each in alone],
    }
    speed, generate, stream = (tokens * PAIRS / sum(each) for each in seconds.values())
    share = _share(seconds["generate"], seconds["chats"])
    return {
        "chats": options.chats,
        "pairs": PAIRS,
        "chat_tokens_per_s": round(speed),
        "engine_tokens_per_s": round(generate),
        "streaming_engine_tokens_per_s": round(stream),
        "share": share.value,
        "share_low": share.low,
        "share_high": share.high,
        "share_of_streaming": speed / stream,
        "shares": [round(own / ours, 2) for own, ours in zip(seconds["generate"], seconds["chats"], strict=True)],
        "wanted_share": 0.8,
        "engine_share_of_processor": median(engine_shares),
        "tokens": tokens,
    }


def _share(own: list[float], ours: list[float]) -> Estimate:
    """Of the engine's own speed, for the same tokens, from the seconds of each pair."""
    engine, chats = np.array(own), np.array(ours)
    found = cluster_bootstrap(lambda drawn: (drawn @ engine) / (drawn @ chats), len(own))
    assert found is not None
    return found


async def _chats(page: Page, count: int) -> dict[str, Any]:
    made = page.studio.call(conversations_make, username="anna", count=count * ROUNDS, steps=True)
    sockets = [await open_socket(page.studio, f"/ws/t/{page.team}/chat/{each}/", page.cookies) for each in made]
    hearing = [asyncio.create_task(hear(socket)) for socket in sockets]
    begun = await _all_asked(page, made, sockets)
    heard = await asyncio.gather(*hearing)
    ended = max(each.ended for each in heard)
    for socket in sockets:
        await socket.close()
    tokens = page.studio.call(tokens_of, messages=[each.message for each in heard])
    return {"tokens": tokens, "seconds": ended - begun}


def _pin(pid: int, cores: list[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _processor_seconds(pid: int) -> dict[int, float]:
    """That each thread of a process has used; the engine's is the one with the most."""
    return {each.id: each.user_time + each.system_time for each in psutil.Process(pid).threads()}


if __name__ == "__main__":
    main()
