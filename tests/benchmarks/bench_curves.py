"""Benchmark of the curves of a long run, in a real browser: a run with 200,000 points, written in pieces as a worker
writes them, until all its drawings stand; and the same of a stretch that is looked at closer.

*Page* is from the navigation until the curves are drawn, *curves* from the first question to the server. The server
keeps every point; what it gives is thinned.
"""

import argparse
import json
import statistics
import time
from typing import Any

from tests.benchmarks.live import CURVES, cookie, curves_write, job_begin, running_studio
from tests.browser.studio import Studio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with running_studio() as studio:
        own = cookie(studio, "anna")
        place = studio.call(job_begin, username="anna")
        begun = time.perf_counter()
        stored = studio.call(curves_write, job=place["job"], points=options.points)
        seconds = time.perf_counter() - begun
        figures = shown(studio, own, place, options.rounds)
    wanted = {"points": options.points, "rows": stored, "writing_seconds": round(seconds, 1), "wanted_ms": 500}
    print(json.dumps(figures | wanted))


def shown(studio: Studio, cookies: str, place: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Milliseconds until everything is drawn."""
    import shutil

    from playwright.sync_api import sync_playwright

    name, _, value = cookies.partition("=")
    url = f"{studio.url}/t/{place['team']}/jobs/{place['job']}/"
    page_ms, curves_ms, closer_ms, answered = [], [], [], []
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": name, "value": value, "url": studio.url}])
        page = context.new_page()
        for number in range(rounds + 1):
            page.goto(url, wait_until="commit")
            page.wait_for_selector("[data-curves][data-ready]")
            found = page.evaluate(MEASURED)
            if number:  # the first fills the browser's cache
                page_ms.append(found["drawn"])
                curves_ms.append(found["drawn"] - found["asked"])
                answered.append(found["answered"])
        drawn = page.locator(".job-curve").count()
        assert drawn == len(CURVES), f"{drawn} drawings"
        last = int(page.locator("#curves-to").get_attribute("placeholder") or 0)
        for number in range(rounds):
            first = last // 3 + number
            closer_ms.append(page.evaluate(CLOSER, [first, first + 500]))
        browser.close()
    return {
        "page": _milliseconds(page_ms),
        "curves": _milliseconds(curves_ms),
        "server": _milliseconds(answered),
        "closer": _milliseconds(closer_ms),
    }


MEASURED = """() => {
  const asked = performance.getEntriesByType("resource").find((each) => each.name.includes("/metrics/"));
  return { drawn: performance.getEntriesByName("curves-drawn")[0].startTime, asked: asked.startTime,
           answered: asked.duration };
}"""

CLOSER = """async ([from, to]) => {
  const form = document.querySelector("[data-curves] form");
  const before = performance.getEntriesByName("curves-drawn").length;
  const begun = performance.now();
  form.elements.from.value = from;
  form.elements.to.value = to;
  form.requestSubmit();
  while (performance.getEntriesByName("curves-drawn").length === before) await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""


def _milliseconds(values: list[float]) -> dict[str, Any]:
    p95 = statistics.quantiles(values, n=100, method="inclusive")[94]
    return {"median_ms": round(statistics.median(values)), "p95_ms": round(p95), "worst_ms": round(max(values))}


if __name__ == "__main__":
    main()
