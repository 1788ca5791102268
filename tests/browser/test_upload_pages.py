"""From a file to a dataset in a real browser: sent in parts, looked at by a real worker, mapped, imported, cut off."""

import csv
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, Route, expect

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.studio import ROOT, Studio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Check = Callable[[Page, str], None]
A_JOB = 300_000
"""Milliseconds for what waits for a worker: one that starts on a busy machine takes its time."""
PUBLISHED = ROOT.parent / "shared" / "data" / "drugdose.json"


@pytest.fixture
def intake(studio: Studio, page: Page) -> str:
    """A manager's page where files are sent; workers look at them."""
    studio.start_worker("cpu")
    username = "ines"
    with suppress(RuntimeError):  # an earlier test of this file made her
        studio.call(person, username=username, team="Intake", role="owner")
    sign_in(page, studio, username)
    return f"{studio.url}/t/intake/datasets/upload/"


def exam(folder: Path, rows: int, name: str = "ward exam.csv") -> Path:
    """A file whose columns nobody knows, with a script in it and a row without an answer."""
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["nr", "stem", "a", "b", "c", "key", "topic"])
        writer.writerow(
            [0, "<script>document.title = 'broken'</script> Which drug?", "one", "two", "three", 2, "drugs"]
        )
        for number in range(1, rows):
            writer.writerow([number, f"Case {number}. Which drug comes first?", "one", "two", "three", 1, "drugs"])
        writer.writerow([rows, "Which drug has no answer here?", "one", "two", "three", "", "drugs"])
    return path


def test_a_file_is_sent_mapped_and_imported(intake: str, page: Page, check_page: Check, tmp_path: Path) -> None:
    page.goto(intake)
    expect(page.get_by_text("Drop files here")).to_be_visible()
    check_page(page, "upload-new")
    page.get_by_label("Choose files").set_input_files(exam(tmp_path, 30))
    preview = page.locator("#preview")
    expect(preview).to_contain_text("30 of 31 rows", timeout=A_JOB)
    expect(preview).to_contain_text("<script>document.title = 'broken'</script>")
    expect(page).not_to_have_title("broken")
    expect(page.locator("#id_question")).to_have_value("stem")
    expect(page.get_by_role("checkbox", name="b", exact=True)).to_be_checked()
    page.get_by_text("Columns and what they hold").click()
    page.get_by_text("More columns and defaults").click()
    check_page(page, "upload-map")

    # Another column for the answer: the rows are read again, by themselves, by keyboard.
    page.locator("#id_answer").focus()
    page.keyboard.type("topic")
    page.keyboard.press("Tab")
    expect(preview).to_contain_text("0 of 31 rows", timeout=A_JOB)
    page.locator("#id_answer").select_option("key")
    expect(preview).to_contain_text("30 of 31 rows", timeout=A_JOB)
    page.get_by_label("Name of the new dataset").fill("Ward exam")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="30 questions imported")).to_be_visible(timeout=A_JOB)
    check_page(page, "upload-done")
    page.get_by_role("link", name="See the rows that were left out").click()
    expect(page.get_by_role("cell", name="key: the answer is missing")).to_be_visible()
    check_page(page, "rejected-rows")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download (CSV)").click()
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()[1].startswith("31,key")


def test_an_upload_that_is_cut_off_goes_on_where_it_stopped(intake: str, page: Page, tmp_path: Path) -> None:
    big = exam(tmp_path, 120_000, "big exam.csv")
    assert big.stat().st_size > 5 << 20
    offsets: list[int] = []

    def hold(route: Route) -> None:
        offsets.append(int(route.request.url.partition("offset=")[2]))
        if len(offsets) != 2:
            route.continue_()  # the second part never arrives

    page.route("**/uploads/files/**", hold)
    page.goto(intake)
    page.get_by_label("Choose files").set_input_files(big)
    expect(page.locator(".upload-note").first).to_contain_text("4.0 MB of")
    page.reload()
    expect(page.locator("#upload-list")).to_contain_text("Choose the same file again to go on")
    page.get_by_label("Choose files").set_input_files(big)
    expect(page.locator("#preview")).to_contain_text("The first 500 rows can all be imported", timeout=A_JOB)
    assert offsets == [0, 4 << 20, 4 << 20]
    page.get_by_role("button", name="Discard").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.locator("#upload-list")).not_to_contain_text("big exam.csv")


DROP = """
files => {
  const carried = new DataTransfer();
  for (const [name, content] of files) carried.items.add(new File([content], name, { lastModified: 1 }));
  const zone = document.querySelector("[data-drop]");
  zone.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""


def test_files_are_dropped_and_a_bad_one_says_why(intake: str, page: Page, check_page: Check) -> None:
    page.goto(intake)
    page.evaluate(DROP, [["questions.csv", "PK\x03\x04 a zip archive under another name"]])
    alert = page.get_by_role("alert").filter(has_text="The file is a zip archive")
    expect(alert).to_be_visible(timeout=A_JOB)
    check_page(page, "upload-refused")
    with page.expect_navigation():  # a drop before the new page stands would fall beside it
        page.get_by_role("link", name="Choose another file").click()
    good = '{"question": "Is it?", "answer": "yes"}\n'
    page.evaluate(DROP, [["one.jsonl", good], ["two.jsonl", good], ["empty.jsonl", ""]])
    expect(page.get_by_role("link", name="Map the columns of one.jsonl")).to_be_visible()
    expect(page.get_by_role("link", name="Map the columns of two.jsonl")).to_be_visible()
    expect(page.locator("#upload-list")).to_contain_text("The file is empty.")
    check_page(page, "upload-several")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published files are not here")
def test_a_published_file_needs_no_mapping(intake: str, page: Page) -> None:
    page.goto(intake)
    page.get_by_label("Choose files").set_input_files(PUBLISHED)
    expect(page.locator("#preview")).to_contain_text("All 23 rows can be imported", timeout=A_JOB)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="23 questions imported")).to_be_visible(timeout=A_JOB)
