"""The report page in a real Chromium: it opens from a file, asks for nothing, walks by keyboard, and is accessible."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meds3core.data.trees import Failure
from meds3core.report.page import write_report
from tests.core.trees.factory import question, tree

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, expect, sync_playwright

QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
HOSTILE = "</script><script>document.title='owned'</script><!-- <script> <img src=x onerror=\"document.title='owned'\">"


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
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    trees = [tree(seed) for seed in range(14)]
    trees.append(tree(14, of=question(14, identity=f"q {HOSTILE[:40]} & = + #", text=HOSTILE)))
    trees.append(tree(15, of=question(15).without_gold()))
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(trees, [Failure(id="lost", code="engine", reason=HOSTILE)], out, notes=["A note."])
    return out.as_uri()


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
    assert watch.said == []
    assert all(url.split("#")[0].endswith("report.html") or url.startswith("data:") for url in watch.asked)


def chosen(page: Page) -> int:
    return int(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('n') || 0"))


def test_a_click_opens_a_tree_and_arrow_keys_walk_it(page: Page, report: str) -> None:
    page.goto(report)
    page.locator("#grid a").nth(2).click()
    nodes = tree(2).nodes
    children = tree(2).children()
    drawing = page.get_by_role("tree")
    expect(drawing.get_by_role("treeitem")).to_have_count(len(nodes))
    page.keyboard.press("ArrowRight")
    assert chosen(page) == children[0][0]
    page.keyboard.press("ArrowDown")
    assert chosen(page) == children[0][1]
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == 0
    panel = page.get_by_role("complementary", name="Chosen step")
    expect(panel).to_contain_text(nodes[0].text)
    page.keyboard.press("Escape")
    expect(page.locator("#grid a").nth(2)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#grid a").nth(3)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=question(3).id)).to_be_visible()


def test_a_deep_link_shows_the_step(page: Page, report: str) -> None:
    node = next(each for each in tree(4).nodes if each.verdict is False)
    page.goto(f"{report}#q={question(4).id}&n={node.id}")
    panel = page.get_by_role("complementary", name="Chosen step")
    expect(panel).to_contain_text(f"Step {node.depth}")
    expect(panel.locator(".step-text")).to_have_text(node.text)
    expect(panel).to_contain_text(f"wrong answer {node.answer}")
    path = page.get_by_role("region", name="Path")
    assert path.get_by_role("listitem").count() == node.depth + 1
    page.goto(f"{report}#q=nobody")
    expect(page.locator("#grid")).to_be_visible()


def test_the_panel_says_everything(page: Page, report: str) -> None:
    node = next(each for each in tree(0).nodes if len({*each.outcomes}) == 2)
    page.goto(f"{report}#q={question(0).id}&n={node.id}")
    panel = page.get_by_role("complementary", name="Chosen step")
    expect(panel).to_contain_text(f"{sum(node.outcomes)} of {len(node.outcomes)} right")
    expect(panel).to_contain_text(f"{node.value:.2f}")
    expect(panel.locator("details")).to_have_count(len(node.samples))
    panel.locator("summary").first.click()
    expect(panel.locator("pre").first).to_have_text(node.samples[0].text)


def test_the_list_holds_the_same_tree_and_folds(page: Page, report: str) -> None:
    page.goto(f"{report}#q={question(5).id}")
    page.get_by_role("tab", name="List").click()
    grid = page.get_by_role("treegrid")
    rows = grid.locator("tbody tr")
    expect(rows).to_have_count(len(tree(5).nodes))
    rows.nth(0).focus()
    page.keyboard.press("ArrowDown")
    assert chosen(page) == 1
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(rows.nth(0)).to_have_attribute("aria-expanded", "false")
    expect(grid.locator("tbody tr:visible")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(grid.locator("tbody tr:visible")).to_have_count(len(tree(5).nodes))


def test_filters_and_search(page: Page, report: str) -> None:
    page.goto(report)
    expect(page.locator("#shown")).to_have_text("16 trees")
    page.get_by_label("Domain").select_option("triage")
    expect(page.locator("#grid a")).to_have_count(5)
    page.get_by_label("Result").select_option("unsolved")
    page.get_by_label("Search").fill("no such words")
    expect(page.get_by_text("No question fits")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#grid a")).to_have_count(16)
    page.get_by_label("Result").select_option("open")
    expect(page.locator("#grid a")).to_have_count(1)


def test_hostile_text_is_only_text(page: Page, report: str) -> None:
    page.goto(report)
    page.locator("#grid a").nth(14).click()
    expect(page.locator(".asked .words")).to_have_text(HOSTILE)
    page.keyboard.press("ArrowRight")
    assert chosen(page) == 1
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".asked .words")).to_have_text(HOSTILE)
    assert page.title() != "owned"
    page.goto(report)
    expect(page.get_by_role("region", name="Failed questions")).to_contain_text(HOSTILE)


def test_dark_follows_the_system_and_the_button(browser: Browser, report: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(report)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    light = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == light
    context.close()


def test_nothing_hangs_over_the_edge(page: Page, report: str) -> None:
    for address, seen in ((report, "#grid a"), (f"{report}#q={question(0).id}&n=9", "#canvas")):
        page.goto(address)
        page.wait_for_selector(seen, timeout=8_000)
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, report: str, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()

    def check(where: str) -> None:
        violations = axe.run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in violations] == [], where

    page.goto(report)
    check("overview")
    page.locator("#grid a").nth(1).click()
    page.wait_for_selector("#canvas")
    page.keyboard.press("ArrowRight")
    check("drawing")
    page.get_by_role("tab", name="List").click()
    check("list")
    context.close()


def test_a_thousand_trees_open_quickly(browser: Browser, tmp_path: Path) -> None:
    grown = [tree(seed, size=60) for seed in range(40)]
    many = (
        grown[number % 40].model_copy(update={"question": question(number, identity=f"q{number}")})
        for number in range(1000)
    )
    out = tmp_path / "report.html"
    write_report(many, [], out)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{out.as_uri()}#q=q999")
    expect(page.get_by_role("tree")).to_be_visible(timeout=10_000)
    milliseconds = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert milliseconds < 8_000  # about 300 ms alone on a quiet core
    page.get_by_role("link", name="All questions").click()
    expect(page.locator("#grid a")).to_have_count(1000)
    context.close()
