"""A real small evolution through its pages: live, stages, what changed, a new start, its models and their origin."""

import pytest

from tests.browser.evolving import evolution, standing
from tests.browser.guard import sign_in
from tests.browser.people import person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LONG = 900_000


def test_a_loop_from_its_queue_to_its_models_card(studio, page, check_page, tmp_path):
    from playwright.sync_api import expect

    studio.call(person, username="eva", team="Evolvers")
    sign_in(page, studio, "eva")
    team = f"{studio.url}/t/evolvers"
    page.goto(f"{team}/evolutions/")
    expect(page.get_by_text("No evolution yet")).to_be_visible()
    check_page(page, "evolutions-empty")
    job = studio.call(evolution, team="Evolvers", username="eva", title="Whole loop")

    # Live: the page is open before anything has begun, and is never loaded again.
    page.goto(f"{team}/evolutions/{job}/")
    expect(page.get_by_text("Not planned yet")).to_be_visible()
    check_page(page, "evolution-queued")
    studio.start_worker("gpu")
    report = page.locator('[data-graph] [data-key="report"]')
    expect(report).to_be_visible(timeout=LONG)
    page.locator('[data-graph] [data-key="trees-1"]').click()
    panel = page.locator("[data-stage-panel]")
    expect(panel.get_by_role("heading", name="trees-1")).to_be_visible()
    expect(page.locator(".evolution-summary")).to_be_visible(timeout=LONG)
    expect(panel.get_by_role("link", name="6 trees")).to_be_visible()
    found = studio.call(standing, job=job)
    assert (found["state"], found["error"]) == ("succeeded", "")
    expect(page.locator(".evolution-summary")).to_have_text(found["summary"])
    assert found["scores"] == 6, "the loop's last trees have no scores of its reward model"
    check_page(page, "evolution")

    # By keyboard alone: to a stage, into its panel, and back.
    page.keyboard.press("Escape")
    report.focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_role("heading", name="report")).to_be_visible()
    assert page.url.endswith("#stage-report")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.dataset.key") == "report"
    page.goto(f"{team}/evolutions/{job}/stages/dpo-2/")
    expect(page.get_by_role("link", name="Loop · dpo-2 v1")).to_be_visible()
    check_page(page, "evolution-stage")
    page.goto(f"{team}/evolutions/{job}/changes/?first=base&second=dpo-2")
    expect(page.get_by_text("McNemar’s exact test")).to_be_visible()
    check_page(page, "evolution-changes")

    # A new start from one of its stages.
    page.goto(f"{team}/evolutions/{job}/restart/?stage=tree-scores-2")
    page.get_by_role("button", name="Show what is taken over").first.click()
    expect(page.get_by_text("1 are done anew.")).to_be_visible()
    check_page(page, "evolution-restart")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("stages were taken over and not run again")).to_be_visible(timeout=LONG)
    expect(page.locator(".evolution-summary")).to_have_text(found["summary"], timeout=LONG)
    again = studio.call(standing, job=page.url.rstrip("/").rpartition("/")[2])
    assert set(found["stages"]) - set(again["taken"]) == {"tree-scores-2"} and again["trees"] == 0
    check_page(page, "evolution-restarted")
    page.goto(f"{team}/evolutions/")
    check_page(page, "evolutions")

    page.goto(f"{team}/models/?sort=best")
    check_page(page, "models-ranked")
    page.get_by_role("link", name="Loop · dpo-2 v1").first.click()
    drawn = page.locator("[data-graph] a")
    expect(drawn.filter(has_text="Clinic, train v1")).to_be_visible()
    check_page(page, "model-lineage")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Card as Markdown").click()
    waiting.value.save_as(tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text().startswith("# Loop · dpo-2 v1")
    drawn.filter(has_text="pairs-2").click()
    expect(page.get_by_role("heading", name="Loop · pairs-2")).to_be_visible()
    studio.stop_workers()
