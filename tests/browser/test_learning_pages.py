"""From a label set to a listed model through the pages, with a real worker."""

import re

import pytest

from tests.browser.guard import sign_in
from tests.browser.learning import curve, label_set, taught
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

    page.goto(f"{team}/training/compare/")
    expect(page.get_by_text("There is no run to compare")).to_be_visible()
    check_page(page, "training-compare-empty")

    studio.call(label_set, team="Trainers", name="Good ones")
    page.goto(f"{team}/training/new/sft/")
    check_page(page, "training-new-sft")
    quick = {"training__epochs": "2", "training__batch_size": "4", "training__micro_batch_size": "4"}
    fill(page, name="Ward policy", training__log_every="1", training__save_every="2", **quick)
    page.get_by_role("button", name="Preview the data").click()
    expect(page.get_by_text("It starts as soon as a worker is free.")).to_be_visible()
    check_page(page, "training-preview-waiting")
    studio.start_worker("cpu")
    expect(page.get_by_role("heading", name="Examples as the model sees them")).to_be_visible(timeout=LONG)
    expect(page.locator(".label-example .toks-trained").first).to_contain_text("Let's break")
    shown = studio.call(taught, team="Trainers", name="Good ones")
    assert page.locator(".label-example .toks-trained").first.locator(".tok").count() == shown["first"]
    expect(page.locator("dt", has_text="Tokens trained on").locator("+ dd")).to_have_text(f"{shown['all']}")
    check_page(page, "training-preview-form")
    page.get_by_role("link", name="Further").click()
    expect(page.get_by_text("7 to 8 of 8")).to_be_visible()
    page.get_by_role("link", name="This preview on a page of its own").click()
    expect(page.get_by_role("heading", name="Preview of Good ones")).to_be_visible()
    check_page(page, "training-preview")
    page.go_back()

    page.goto(f"{team}/training/new/sft/")
    fill(page, name="Ward policy", training__log_every="1", training__save_every="2", **quick)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="Ward policy")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("It keeps its place until somebody resumes it.")).to_be_visible()
    expect(page.get_by_role("heading", name="What it learns from")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    studio.start_worker("gpu")
    model = page.get_by_role("link", name="Ward policy v1")
    expect(model).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Finished after")).to_be_visible()
    expect(page.locator("[data-curves][data-ready]")).to_be_visible()
    expect(page.get_by_role("heading", name="Saved places")).to_be_visible()
    for group in ("Loss", "Accuracy", "Learning rate", "Throughput", "Memory"):
        expect(page.locator("[data-curves]").get_by_role("heading", name=group, exact=True)).to_be_visible()
    loss = page.locator("[data-group=loss] .job-curve")
    stored = studio.call(curve, team="Trainers", title="Ward policy", name="loss")
    expect(loss).to_have_attribute("aria-label", re.compile(f"at step {stored['steps'][-1]}$"))
    loss.get_by_label("Smooth: Loss").check()
    expect(page.locator("[data-curves-note]")).to_contain_text("look back over about 5 points")
    over = loss.locator(".u-over").bounding_box()
    page.mouse.move(over["x"] + over["width"] * 0.4, over["y"] + 60)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.95, over["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Whole run")).to_be_visible()
    assert int(page.get_by_label("From step").input_value()) > 1
    check_page(page, "training-run")
    page.get_by_role("button", name="Whole run").click()
    expect(page.get_by_label("From step")).to_have_value("")

    page.get_by_role("link", name="New run from these settings").click()
    fill(page, name="Ward policy, slower", training__learning_rate="0.0001")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="Ward policy, slower")).to_be_visible()
    expect(page.get_by_role("link", name="Ward policy, slower v1")).to_be_visible(timeout=LONG)
    page.goto(f"{team}/training/")
    expect(page.get_by_role("link", name="Ward policy v1")).to_be_visible()
    check_page(page, "training-list")
    for box in page.get_by_label(re.compile("^Compare Ward policy")).all():
        box.check()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.locator("[data-overlay][data-ready]")).to_be_visible()
    expect(page.locator("[data-overlay] .job-curve").first).to_have_attribute(
        "aria-label", re.compile("1 Ward policy.*2 Ward")
    )
    differing = page.get_by_role("region", name="Settings that differ").get_by_role("row")
    expect(differing).to_have_count(2)
    expect(differing.nth(1)).to_contain_text("learning rate")
    page.get_by_label("Smooth: Loss").check()
    page.get_by_label(re.compile("^Show the curves of 2")).uncheck()
    check_page(page, "training-compare")
    page.get_by_role("link", name=re.compile("^Remove 2")).click()
    expect(page.locator("[data-run]")).to_have_count(1)
