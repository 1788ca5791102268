"""Benchmark of live pages and of the queue, with real uvicorn, Redis and workers:

- an event written as a worker writes it, until it is shown in an open page of a real browser;
- submit until an idle worker has claimed;
- 300 sockets on one live job: whether each was told of every event, and what share of a core the web process took.
"""

import argparse
import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks.live import (
    cookie,
    events_write,
    job_begin,
    messages,
    open_socket,
    percentile,
    processor_seconds,
    run,
    running_studio,
    self_checks_submit,
)
from tests.browser.studio import Studio

WATCH = """() => {
  window.seen = {};
  new MutationObserver(() => {
    for (const [, number] of document.querySelector("[data-events]").textContent.matchAll(/event (\\d+);/g))
      window.seen[number] ??= Date.now() / 1000;
  }).observe(document.querySelector("[data-events]"), { childList: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--submits", type=int, default=20)
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0, help="for which the job of the many clients goes on")
    parser.add_argument("--people", type=int, default=30, help="among whom the clients are shared")
    options = parser.parse_args()
    with running_studio() as studio:
        own = cookie(studio, "anna")
        figures = {
            "shown": shown_in_a_page(studio, own, options.events),
            "many": run(many(studio, options.clients, options.people, options.seconds)),
            "claimed": claimed(studio, options.submits),
        }
    print(json.dumps(figures))


def shown_in_a_page(studio: Studio, cookies: str, count: int) -> dict[str, Any]:
    """Milliseconds from the call that writes an event until the page has it."""
    import shutil

    from playwright.sync_api import sync_playwright

    place = studio.call(job_begin, username="anna")
    name, _, value = cookies.partition("=")
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": studio.url}])
        page = context.new_page()
        page.goto(f"{studio.url}/t/{place['team']}/jobs/{place['job']}/")
        page.get_by_text("Live", exact=True).wait_for()
        page.evaluate(WATCH)
        moments = studio.call(events_write, job=place["job"], count=count, pause=0.3)
        page.wait_for_function("count => Object.keys(window.seen).length === count", arg=count)
        seen = page.evaluate("window.seen")
        browser.close()
    waits = [1000 * (seen[str(number)] - moment) for number, moment in enumerate(moments)]
    return _milliseconds(waits) | {"wanted_ms": 250}


async def many(studio: Studio, clients: int, people: int, seconds: float) -> dict[str, Any]:
    """So many sockets on one job that writes ten events a second."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as orders:  # the second process takes one order at a time

        async def call(function: Any, **arguments: Any) -> Any:
            return await loop.run_in_executor(orders, lambda: studio.call(function, **arguments))

        cookies = [await loop.run_in_executor(orders, cookie, studio, f"member-{number}") for number in range(people)]
        place = await call(job_begin, username="member-0")
        path = f"/ws/t/{place['team']}/jobs/{place['job']}/"
        sockets = [await open_socket(studio, path, cookies[number % people]) for number in range(clients)]
        count = round(seconds * 10)
        last = 2 + count  # submitted, started, and the events
        reading = [asyncio.create_task(_read(socket, last)) for socket in sockets]
        await asyncio.sleep(2)
        before, begun = processor_seconds(studio), time.time()
        moments = await call(events_write, job=place["job"], count=count, pause=0.1)
        done, late = await asyncio.wait(reading, timeout=30)
        used, took = processor_seconds(studio) - before, time.time() - begun
        for task in late:
            task.cancel()
        whole = [task.result() for task in done]
        for socket in sockets:
            await socket.close()
    delays = [1000 * (arrived[-1] - moments[-1]) for arrived, _ in whole]
    return {
        "clients": clients,
        "events": count,
        "clients_that_missed": sum(1 for _, texts in whole if texts != count) + len(late),
        "share_of_a_core": used / took,
        "wanted_share": 0.6,
        "last_event": _milliseconds(delays),
    }


async def _read(socket: Any, last: int) -> tuple[list[float], int]:
    """Until the event `last`; the moments of the messages, and how many of the events' texts were in them."""
    moments, texts, seq = [], 0, 0
    async for moment, message in messages(socket):
        if message["after"] > seq:
            raise AssertionError(f"nothing between {seq} and {message['after']}")
        seq = max(seq, message["seq"])
        texts += message.get("events", "").count(";</span>")
        moments.append(moment)
        if seq >= last:
            break
    return moments, texts


def claimed(studio: Studio, count: int) -> dict[str, Any]:
    """Milliseconds from submit to claim, the worker being idle."""
    studio.start_worker("cpu")
    studio.call(self_checks_submit, count=1)  # until it is there
    found = studio.call(self_checks_submit, count=count)
    return _milliseconds([1000 * each["seconds"] for each in found]) | {"wanted_ms": 500}


def _milliseconds(values: list[float]) -> dict[str, Any]:
    return {
        "count": len(values),
        "median_ms": round(percentile(values, 0.5)),
        "p95_ms": round(percentile(values, 0.95)),
        "worst_ms": round(max(values)),
    }


if __name__ == "__main__":
    main()
