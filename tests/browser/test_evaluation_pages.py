"""Evaluations in a real browser: the matrix, one evaluation, one question, two side by side."""

import pytest

from tests.browser.guard import sign_in
from tests.browser.measuring import two_evaluations
from tests.browser.people import person
from tests.core.evaluation import pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_from_the_matrix_to_one_step_of_one_answer(studio, page, check_page):
    from playwright.sync_api import expect

    studio.call(person, username="eva", team="Measurers")
    sign_in(page, studio, "eva")
    page.goto(f"{studio.url}/t/measurers/evaluations/")
    expect(page.get_by_text("No evaluation yet")).to_be_visible()
    check_page(page, "evaluation-list-empty")
    made = studio.call(two_evaluations, team="Measurers")
    team = f"{studio.url}/t/{made['slug']}"

    page.goto(f"{team}/evaluations/")
    expect(page.get_by_text("Not ranked with the groups above")).to_be_visible()
    page.get_by_text("Strategies that are shown").click()
    check_page(page, "evaluation-list")
    for name in ("Base", "Tuned"):
        page.get_by_label(f"Compare {name}", exact=True).check()
    page.get_by_role("button", name="Compare the two that are ticked").click()
    expect(page.get_by_role("heading", name="Tuned against Base")).to_be_visible()
    expect(page.get_by_text("McNemar's exact test")).to_be_visible()
    check_page(page, "evaluation-compare")
    page.get_by_label("Change", exact=True).select_option("won")
    page.get_by_role("button", name="Show").click()
    page.locator(".changes tbody a").first.click()
    expect(page.get_by_role("heading", name="Answers", exact=True)).to_be_visible()

    page.goto(f"{team}/evaluations/compare/?first={made['base']}&second={made['fewer']}")
    expect(page.get_by_text("the question sets differ")).to_be_visible()
    check_page(page, "evaluation-compare-refused")
    page.get_by_role("link", name="Try the questions that both have").click()
    expect(page.get_by_text("only the 20 shared questions")).to_be_visible()

    page.goto(f"{team}/evaluations/{made['base']}/")
    figure = page.locator("figure", has_text="Accuracy against samples")
    line = figure.locator('g[data-series="self-consistency"]')
    expect(line).to_be_visible()
    figure.get_by_label("self-consistency", exact=True).uncheck()
    expect(line).to_be_hidden()
    page.locator("details.chart-table").evaluate_all("all => all.forEach(each => { each.open = true })")
    check_page(page, "evaluation")
    with page.expect_download() as download:
        page.get_by_role("link", name="Strategies of base as latex").click()
    assert download.value.suggested_filename.endswith(".tex")

    rows = pages.evaluation().rows
    wrong = [row for row in rows if not row.greedy.correct and row.greedy.answer is not None]
    page.get_by_role("link", name="Questions", exact=True).click()
    status = page.locator("#questions [role=status]")
    expect(status).to_contain_text(f"{len(rows)} questions")
    page.get_by_role("button", name="Later").click()
    expect(status).to_contain_text("31st")
    page.get_by_label("Result").select_option("wrong")
    expect(status).to_contain_text(f"{len(wrong)} question")
    page.get_by_label("Result").select_option("")
    page.get_by_label("Answered by").select_option(made["way"])
    check_page(page, "evaluation-questions")
    page.get_by_label("Text").fill("no such words")
    page.get_by_label("Text").press("Enter")
    expect(page.get_by_text("No question meets this")).to_be_visible()

    place = next(i for i, row in enumerate(rows) if any(False in each.steps_right for each in row.samples))
    page.goto(f"{team}/evaluations/{made['base']}/questions/{place}/")
    sample = page.locator("#sample-0")
    sample.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(sample.locator(".steps li")).to_have_count(len(rows[place].samples[0].bodies))
    expect(sample.locator(".scores").last).to_contain_text(f"{rows[place].samples[0].scores['prm'][-1]:.2f}")
    page.locator("details.answer").evaluate_all("all => all.forEach(each => { each.open = true })")
    check_page(page, "evaluation-question")

    page.goto(f"{team}/evaluations/new/")
    check_page(page, "evaluation-new")
