"""From a label set to a listed model through the pages, with a real worker."""

import pytest

from tests.browser.guard import sign_in
from tests.browser.learning import label_set
from tests.browser.people import person
from tests.browser.searching import questions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

LONG = 400_000


def fill(page, **values):
    """Fields by the names that they have in the form; those under "more" are opened first."""
    page.locator("details.spec-more").evaluate_all("all => all.forEach(each => { each.open = true })")
    for name, value in values.items():
        page.locator(f'[name="{name.replace("__", ".")}"]').fill(value)


def test_from_a_label_set_to_a_model(studio, page, check_page):
    from playwright.sync_api import expect

    studio.call(person, username="tomas", team="Trainers")
    slug = studio.call(questions, team="Trainers", count=3)
    sign_in(page, studio, "tomas")
    team = f"{studio.url}/t/{slug}"
    page.goto(f"{team}/training/")
    expect(page.get_by_text("No run yet")).to_be_visible()
    check_page(page, "training-list-empty")
    page.goto(f"{team}/training/new/dpo/")
    expect(page.get_by_text("There is no label set of this kind")).to_be_visible()
    for method in ("grpo", "evolution"):
        page.goto(f"{team}/training/new/{method}/")
        check_page(page, f"training-new-{method}")

    studio.call(label_set, team="Trainers", name="Good ones")
    page.goto(f"{team}/training/new/sft/")
    check_page(page, "training-new-sft")
    quick = {"training__epochs": "2", "training__batch_size": "4", "training__micro_batch_size": "4"}
    fill(page, name="Ward policy", training__log_every="1", **quick)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="Ward policy")).to_be_visible()
    studio.start_worker("gpu")
    model = page.get_by_role("link", name="Ward policy v1")
    expect(model).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Finished after")).to_be_visible()
    expect(page.locator("[data-curves]")).to_be_visible()
    check_page(page, "training-job")
    page.goto(f"{team}/training/")
    expect(page.get_by_role("link", name="Ward policy v1")).to_be_visible()
    check_page(page, "training-list")
