"""From a ready dataset to trees and training data through the pages, with real workers."""

import pytest

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.searching import questions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_from_a_dataset_to_trees_and_labels(studio, page, check_page):
    from playwright.sync_api import expect

    studio.call(person, username="sofia", team="Searchers")
    slug = studio.call(questions, team="Searchers", count=6)
    sign_in(page, studio, "sofia")
    page.goto(f"{studio.url}/t/{slug}/searches/")
    expect(page.get_by_text("No search yet")).to_be_visible()
    check_page(page, "search-list-empty")

    page.get_by_role("link", name="New search").first.click()
    check_page(page, "search-new")
    page.get_by_label("Name", exact=True).fill("First look")
    page.get_by_label("First so many questions").fill("4")
    page.get_by_role("button", name="Start the search").click()
    expect(page.get_by_role("heading", name="First look")).to_be_visible()
    expect(page.get_by_text("No tree is finished yet")).to_be_visible()

    studio.start_worker("gpu")
    expect(page.get_by_role("row").filter(has_text="clinic-train").first).to_be_visible(timeout=240_000)
    expect(page.locator("#search-standing").get_by_text("Finished")).to_be_visible(timeout=240_000)
    expect(page.locator("#search-trees .table-responsive tbody tr")).to_have_count(4)
    page.reload()
    check_page(page, "search")
    page.get_by_label("Stopped").select_option(index=1)
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#search-trees .table-responsive tbody tr").first).to_be_visible()
    page.goto(f"{studio.url}/t/{slug}/searches/")
    check_page(page, "search-list")
    page.get_by_role("link", name="First look").click()

    page.locator("#search-trees .table-responsive tbody a").first.click()
    check_page(page, "tree")
    rows = page.get_by_role("treegrid").locator("tbody tr")
    first = rows.nth(0)
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(first).to_have_attribute("aria-expanded", "false")
    expect(rows.nth(1)).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(rows.nth(1)).to_be_visible()
    page.keyboard.press("End")
    expect(rows.last).to_be_focused()
    page.get_by_label("Text", exact=True).fill("a")
    page.locator("form[data-tree-find]").evaluate("form => form.submit()")  # as a browser without script does
    expect(page.locator("#tree-found li").first).to_be_visible()
    check_page(page, "tree-found")

    page.go_back()
    page.go_back()
    page.get_by_role("link", name="Good trajectories").click()
    check_page(page, "label-new")
    page.get_by_label("Name", exact=True).fill("First good ones")
    page.get_by_role("button", name="Build the label set").click()
    studio.start_worker("cpu")
    made = page.get_by_role("link", name="First good ones")
    expect(made).to_be_visible(timeout=240_000)
    made.click()
    expect(page.get_by_role("heading", name="Examples")).to_be_visible()
    check_page(page, "label-set")
    page.get_by_role("link", name="Label sets").click()
    check_page(page, "label-list")

    page.goto(f"{studio.url}/t/{slug}/searches/")
    page.get_by_role("link", name="New search").first.click()
    page.get_by_role("button", name="Estimate").click()
    estimate = page.get_by_role("region", name="Estimate")
    expect(estimate.get_by_text("By 1 finished search with this policy")).to_be_visible()
    expect(estimate.get_by_text("evenly spaced, really searched with")).to_be_visible(timeout=240_000)
    check_page(page, "search-estimate")

    page.goto(f"{studio.url}/t/{slug}/searches/")
    page.get_by_role("link", name="First look").click()
    page.get_by_role("link", name="Delete this search …").click()
    expect(page.get_by_text("could not be made again")).to_be_visible()
    check_page(page, "search-delete")
