"""Datasets as a person meets them: list, statistics, browsing and searching, choosing, fetching, deleting."""

import csv
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.sets import stored, work_done
from tests.browser.studio import Studio

Check = Callable[[Page, str], None]

pytestmark = pytest.mark.timeout(900)


def test_a_dataset_from_list_to_deletion(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="dora", team="Datasets team")
    sign_in(page, studio, "dora")
    home = f"{studio.url}/t/datasets-team"
    page.goto(f"{home}/datasets/")
    expect(page.get_by_text("No datasets of this team yet")).to_be_visible()
    check_page(page, "datasets-empty")

    studio.call(stored, team="Datasets team", name="Held out", count=10, start=55)
    version = studio.call(stored, team="Datasets team", name="Ward questions")
    page.reload()
    check_page(page, "datasets")
    page.get_by_label("Name").press_sequentially("ward")
    expect(page.get_by_role("link", name="Held out")).to_have_count(0)
    page.get_by_role("link", name="Ward questions").click()
    expect(page.get_by_role("heading", name="Ward questions")).to_be_visible()
    check_page(page, "dataset")

    page.get_by_role("link", name="v1").click()
    expect(page.get_by_role("heading", name="Repetitions and overlap")).to_be_visible()
    expect(page.get_by_text("Held out v1: 5")).to_be_visible()
    check_page(page, "dataset-version")

    page.get_by_role("link", name="PubMedQA").click()
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("20 questions")
    page.get_by_label("Source").select_option("All")
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("60 questions")
    page.get_by_role("button", name="Later").click()
    expect(page.get_by_role("cell", name="60", exact=True)).to_be_visible()
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_role("cell", name="1", exact=True)).to_be_visible()
    page.get_by_label("Text").fill("nothing like this")
    page.get_by_label("Text").press("Enter")
    expect(page.get_by_text("No question meets this.")).to_be_visible()
    page.get_by_label("Text").fill("WHAT IS")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("main").get_by_role("status")).not_to_have_text("0 questions")
    check_page(page, "questions")
    assert "WHAT" not in page.url
    page.locator("#questions a.question-line").first.click()
    expect(page.get_by_role("heading", name="Gold answer")).to_be_visible()
    check_page(page, "question")

    page.goto(f"{home}/datasets/versions/{version}/")
    page.get_by_label("CSV for spreadsheets").check()
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download").click()
    assert fetched.value.suggested_filename == "Ward-questions-v1.csv"
    with fetched.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 60

    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete Ward questions v1?")).to_be_visible()
    check_page(page, "dataset-delete")
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("was deleted")).to_be_visible()
    expect(page.get_by_text("No version yet.")).to_be_visible()


def test_a_curriculum_and_a_check(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="emil", team="Curriculum team")
    sign_in(page, studio, "emil")
    home = f"{studio.url}/t/curriculum-team"
    version = studio.call(stored, team="Curriculum team", name="Pool")
    studio.call(stored, team="Curriculum team", name="Benchmark", count=10)
    page.goto(f"{home}/datasets/versions/{version}/curriculum/")
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("48 of 60")  # a fifth is always solved
    page.get_by_label("Benchmark v1").check()
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("40 of 60")
    page.get_by_label("At most of MedQA").fill("4")
    page.get_by_label("At most of MedQA").press("Tab")
    expect(page.get_by_role("row", name="MedQA", exact=False).first).to_contain_text("4")
    page.get_by_label("Edges of difficulty").fill("0, 0.5")
    page.get_by_label("Edges of difficulty").press("Tab")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Edges of difficulty").fill("0, 0.5, 1")
    page.get_by_label("Edges of difficulty").press("Tab")
    expect(page.get_by_role("columnheader", name="0–0.5")).to_be_visible()
    page.get_by_label("New dataset").fill("Chosen")
    check_page(page, "curriculum")
    page.get_by_role("button", name="Make the version").click()
    page.wait_for_url(lambda url: "curriculum/" not in url)
    assert studio.call(work_done, team="Curriculum team") == ["curriculum"]
    page.goto(f"{home}/datasets/")
    page.get_by_role("link", name="Chosen").click()
    page.get_by_role("link", name="v1").first.click()
    expect(page.get_by_text("chosen from")).to_be_visible()

    page.goto(f"{home}/datasets/versions/{version}/")
    page.get_by_label("Benchmark v1").check()
    page.get_by_role("button", name="Check").click()
    page.wait_for_load_state()
    assert studio.call(work_done, team="Curriculum team") == ["dataset-check"]
    page.goto(f"{home}/datasets/versions/{version}/")
    expect(page.get_by_text("in common with Benchmark v1")).to_be_visible()
    expect(page.get_by_text("Tokens of the bundled policy")).to_be_visible()
    page.get_by_role("link", name="Show them").click()
    expect(page.get_by_role("heading", name="Much alike")).to_be_visible()
    check_page(page, "dataset-alike")
