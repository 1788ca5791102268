"""The page of a tree and of a search with trees in it: by mouse, by keyboard alone, without script."""

import pytest

from tests.browser.forests import forest
from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.seldom import oddments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wood(studio):
    """A team with two searches, and who looks at them."""
    studio.call(person, username="wilma", team="Foresters")
    return studio.call(forest, team="Foresters", username="wilma", count=8)


def test_a_trees_steps_are_chosen_found_flagged_and_compared(studio, page, wood, check_page):
    from playwright.sync_api import expect

    sign_in(page, studio, "wilma")
    where = f"{studio.url}/t/{wood['slug']}/trees/{wood['trees'][0]}/"
    page.goto(f"{where}#node-5")
    panel = page.locator("#tree-panel")
    expect(panel.get_by_role("heading", name="Node 5")).to_be_visible()
    expect(page.locator(".tree-drawing")).not_to_have_attribute("data-state", "loading")
    expect(page.locator("[data-row='5']")).to_have_attribute("aria-selected", "true")

    panel.locator("a[data-node]").first.click()
    expect(panel.get_by_role("heading", name="Node 5")).to_have_count(0)
    chosen = int(panel.locator("[data-shown-node]").get_attribute("data-shown-node"))
    assert page.url.endswith(f"#node-{chosen}")

    page.get_by_label("Flagged").check()
    expect(page.locator("#tree-found").get_by_role("link", name="Node 2", exact=True)).to_be_visible()
    expect(page.locator("#tree-found [data-marked]")).to_have_attribute("data-marked", "2")
    expect(page.locator("[data-row='3']")).to_have_class("tree-dim")
    page.locator("#tree-found").get_by_role("link", name="Node 2", exact=True).click()
    expect(panel.get_by_text("Is this dose per day or per dose?").first).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("[data-row='3']")).not_to_have_class("tree-dim")
    page.get_by_label("Text", exact=True).press_sequentially("daily")
    expect(page.locator("#tree-found [data-marked]")).to_be_visible()
    page.get_by_label("Rings show").select_option(label="Quick judge v1")

    page.goto(f"{where}#node-4")
    expect(panel.get_by_role("heading", name="Node 4")).to_be_visible()
    panel.get_by_label("Flag this step").fill("Look here")
    panel.get_by_role("button", name="Flag", exact=True).click()
    expect(panel.get_by_text("Look here").first).to_be_visible()
    check_page(page, "tree-panel")
    panel.get_by_role("button", name="Withdraw").click()
    expect(panel.get_by_text("Withdrawn")).to_be_visible()

    page.get_by_role("link", name="Compare with the tree of Second search").click()
    expect(page.get_by_role("heading", name="Its best", exact=False).first).to_be_visible()
    check_page(page, "tree-compare")


def test_the_keyboard_alone_walks_a_tree_and_reads_every_step(studio, page, wood):
    from playwright.sync_api import expect

    sign_in(page, studio, "wilma")
    page.goto(f"{studio.url}/t/{wood['slug']}/trees/{wood['trees'][1]}/")
    rows = page.locator("#tree-rows [data-row]")
    rows.first.focus()
    read = []
    for place in range(rows.count()):
        expect(rows.nth(place)).to_be_focused()
        page.keyboard.press("Enter")
        node = rows.nth(place).get_attribute("data-row")
        expect(page.locator("#tree-panel [data-shown-node]")).to_have_attribute("data-shown-node", node)
        read.append(node)
        page.keyboard.press("ArrowDown")
    assert len(set(read)) == rows.count()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(rows.nth(1)).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(rows.nth(1)).to_be_visible()


def test_a_search_is_walked_narrowed_and_compared(studio, page, wood, check_page):
    from playwright.sync_api import expect

    sign_in(page, studio, "wilma")
    page.goto(f"{studio.url}/t/{wood['slug']}/searches/{wood['searches'][0]}/")
    cells = page.locator("[data-mosaic] a")
    expect(cells).to_have_count(8)
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    expect(cells.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(cells.last).to_be_focused()
    page.keyboard.press("Home")
    expect(cells.first).to_be_focused()
    check_page(page, "search-figures")
    page.get_by_label("Domain").select_option("triage")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(cells).to_have_count(3)
    cells.first.click()
    expect(page.get_by_role("treegrid")).to_be_visible()
    page.goto(f"{studio.url}/t/{wood['slug']}/searches/{wood['searches'][0]}/compare/")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="8 questions in common")).to_be_visible()
    check_page(page, "search-compare")


def test_what_pages_seldom_show_reads_well_too(studio, page, check_page):
    """States that no walk comes by: nothing found, nothing to compare with, failed, lost, about to be deleted."""
    from playwright.sync_api import expect

    studio.call(person, username="selma", team="Seldom")
    made = studio.call(oddments, team="Seldom", username="selma")
    sign_in(page, studio, "selma")
    seldom = {
        "search-failed": (f"searches/{made['failed']}/", "The engine could not be started."),
        "search-narrowed-to-nothing": (f"searches/{made['alone']}/?domain=nowhere", "No tree is like that"),
        "search-compare-alone": (f"searches/{made['alone']}/compare/", "There is no other search yet"),
        "label-delete": (f"labels/{made['labels']}/delete/", "Nothing depends on it."),
        "evaluation-delete": (f"evaluations/{made['evaluation']}/delete/", "Kept figures"),
        "evaluation-lost": (f"evaluations/{made['lost']}/", "The files of this evaluation cannot be read"),
        "evaluation-questions-lost": (f"evaluations/{made['lost']}/questions/", "cannot be read"),
    }
    for name, (place, words) in seldom.items():
        page.goto(f"{studio.url}/t/{made['slug']}/{place}")
        expect(page.get_by_text(words).first).to_be_visible()
        check_page(page, name)


def test_a_tree_is_read_without_script(studio, chromium, wood):
    from playwright.sync_api import expect

    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    sign_in(opened, studio, "wilma")
    opened.goto(f"{studio.url}/t/{wood['slug']}/trees/{wood['trees'][0]}/")
    expect(opened.locator("#tree-panel").get_by_role("heading", name="Node 0")).to_be_visible()
    opened.locator("#tree-rows").get_by_role("link", name="Node 3", exact=True).click()
    expect(opened.locator("#tree-panel").get_by_role("heading", name="Node 3")).to_be_visible()
    opened.get_by_label("Flagged").check()
    opened.get_by_role("button", name="Find").click()
    expect(opened.locator("#tree-found").get_by_role("link", name="Node 2", exact=True)).to_be_visible()
    context.close()
