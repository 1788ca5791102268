"""The pages of an evaluation, a comparison and the stages in a real Chromium: self-contained, walked by keyboard,
readable on a phone, accessible in light and dark."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meds3core.report.evaluation_page import write_comparison_page, write_evaluation_page
from meds3core.report.stages_page import Finding, Goal, write_stages_page
from tests.core.evaluation import pages

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, expect, sync_playwright

QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
NAMES = ("evaluation", "comparison", "stages")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = shutil.which("chromium") or (str(own) if own.exists() else None)
        if found is None:
            pytest.skip("no Chromium: neither a system package nor playwright's own")
        launched = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    first, second = pages.evaluation(), pages.evaluation("tuned", 0.4)
    write_evaluation_page(first, folder / "evaluation.html", notes=["A note."])
    write_comparison_page(pages.comparison(), first, second, folder / "comparison.html")
    write_stages_page(
        pages.stages(),
        folder / "stages.html",
        notes=[pages.HOSTILE],
        goals=[
            Goal("at least 0.6", "0.5 [0.4, 0.6]", False),
            Goal("at most 0.6", "0.5", True),
            Goal("else", "–", None),
        ],
        findings=[Finding(pages.HOSTILE, "0.5 [0.4, 0.6]")],
    )
    return {name: (folder / f"{name}.html").as_uri() for name in NAMES}


class Watch:
    """What a page said and asked for."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    watch = Watch(opened)
    yield opened
    context.close()
    assert watch.said == []  # a blocked style, script or image would be said here
    assert all(url.split("#")[0].endswith(".html") or url.startswith("data:") for url in watch.asked)


def test_lines_of_a_chart_are_switched_on_and_off(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["evaluation"])
    figure = page.locator("figure", has_text="Accuracy against samples")
    line = figure.locator('g[data-series="self-consistency"]')
    expect(line).to_be_visible()
    figure.get_by_label("self-consistency", exact=True).uncheck()
    expect(line).to_be_hidden()
    figure.locator("summary", has_text="more lines").click()
    other = figure.get_by_role("group", name="More lines of this chart").get_by_role("checkbox").first
    name = other.get_attribute("data-toggles")
    expect(figure.locator(f'g[data-series="{name}"]')).to_be_hidden()
    other.check()
    expect(figure.locator(f'g[data-series="{name}"]')).to_be_visible()


def test_a_question_opens_with_steps_scores_and_verdicts(page: Page, addresses: dict[str, str]) -> None:
    stored = pages.evaluation()
    number, row = next(
        (i, r)
        for i, r in enumerate(stored.rows)
        if r.greedy and False in r.greedy.steps_right and r.greedy.correct is False
    )
    page.goto(addresses["evaluation"])
    links = page.locator("#list a")
    links.nth(number).click()
    expect(page.get_by_role("heading", name=row.question.id)).to_be_focused()
    expect(page.locator(".asked .words")).to_have_text(row.question.text)
    greedy = page.locator(".response").first
    expect(greedy.locator("li.wrong")).to_have_count(row.greedy.steps_right.count(False))
    expect(greedy.locator("li").nth(1)).to_contain_text(row.greedy.bodies[1])
    sample = page.locator(".response").nth(1)
    sample.locator("summary").click()
    scores = row.samples[0].scores["prm"]
    expect(sample.locator(".chip")).to_have_count(len(scores))
    expect(sample.locator(".chip").last).to_have_text(f"{scores[-1]:.2f}")
    assert sample.locator(".chip").last.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name=stored.rows[number + 1].question.id)).to_be_visible()
    page.keyboard.press("Escape")
    expect(links.nth(number + 1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=row.question.id)).to_be_visible()


def test_filters_and_show_more(page: Page, addresses: dict[str, str]) -> None:
    rows = pages.evaluation().rows
    page.goto(addresses["evaluation"])
    expect(page.locator("#shown")).to_have_text(f"{len(rows)} questions")
    expect(page.locator("#list li")).to_have_count(30)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#list li")).to_have_count(len(rows))
    expect(page.locator("#list a").nth(30)).to_be_focused()
    page.get_by_role("combobox", name="Domain").select_option("dosing")
    expect(page.locator("#list li")).to_have_count(sum(row.question.domain == "dosing" for row in rows))
    page.get_by_label("Result").select_option("right")
    page.get_by_label("Search").fill("no such words")
    expect(page.get_by_text("No question fits")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#list li")).to_have_count(30)


def test_wins_and_losses_lead_to_both_answers(page: Page, addresses: dict[str, str]) -> None:
    found = pages.comparison()
    won = [change for change in found.changes if change.kind == "won"]
    page.goto(addresses["comparison"])
    page.get_by_label("Result").select_option("won")
    expect(page.locator("#list li")).to_have_count(len(won))
    page.locator("#list a").first.click()
    sides = page.locator(".side")
    expect(sides).to_have_count(2)
    expect(sides.nth(0).locator(".badge").first).to_contain_text("✗")
    expect(sides.nth(1).locator(".badge").first).to_contain_text("✓")
    expect(sides.nth(1).get_by_role("heading")).to_have_text("tuned")


def test_a_deep_link_opens_a_question(page: Page, addresses: dict[str, str]) -> None:
    identity = pages.evaluation().rows[40].question.id
    page.goto(f"{addresses['evaluation']}#q={identity}")
    expect(page.get_by_role("heading", name=identity)).to_be_visible()
    page.goto(f"{addresses['evaluation']}#q=nobody")
    expect(page.locator("#list")).to_be_visible()


def test_hostile_text_is_only_text(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["evaluation"])
    page.get_by_label("Search").fill("onerror")
    page.locator("#list a").first.click()
    expect(page.locator(".asked .words")).to_have_text(pages.HOSTILE)
    expect(page.locator(".steps li").nth(1)).to_contain_text("<img src=x")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".asked .words")).to_have_text(pages.HOSTILE)
    assert page.title() != "owned"
    page.goto(addresses["stages"])
    expect(page.get_by_role("status").first).to_contain_text("<img src=x")


def test_stages_are_drawn_with_each_run(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["stages"])
    figure = page.locator("figure", has_text="Difference to base").first
    row = figure.locator("tr", has_text="SFT 1").first
    assert row.locator("line.run").count() == 2
    expect(row.locator(".figure")).to_contain_text("p ")
    page.locator("summary", has_text="Each run by itself").click()
    expect(page.get_by_role("columnheader", name="Run 2")).to_be_visible()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_hangs_over_the_edge(page: Page, addresses: dict[str, str], name: str) -> None:
    targets = [addresses[name]]
    if name != "stages":
        targets.append(f"{addresses[name]}#q={pages.evaluation().rows[2].question.id}")
    for address in targets:
        page.goto(address)
        page.wait_for_selector(".side:visible" if "#" in address else "#overview:visible")
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(browser: Browser, addresses: dict[str, str], scheme: Any, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()

    def check(where: str) -> None:
        violations = axe.run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:300]) for each in violations] == [], where

    for name in NAMES:
        page.goto(addresses[name])
        page.evaluate(OPEN_ALL)
        check(name)
        if name != "stages":
            page.locator("#list a").nth(2).click()
            page.wait_for_selector(".side:visible")
            page.evaluate(OPEN_ALL)
            check(f"{name}, question")
    context.close()
