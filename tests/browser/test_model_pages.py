"""Models come in by upload and from a listed folder; they are looked at, named, downloaded and deleted."""

import shutil
import tarfile
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from meds3core.sandbox.bundled import policy_folder
from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.studio import Studio

Check = Callable[[Page, str], None]
FILES = [str(path) for path in sorted(policy_folder().iterdir()) if path.is_file()]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def wait_for_end(page: Page, words: str) -> None:
    """On a job's page, until it has ended so."""
    expect(page.get_by_text(words, exact=False).first).to_be_visible(timeout=300_000)


def test_a_model_comes_in_and_goes(studio: Studio, page: Page, check_page: Check, tmp_path) -> None:
    studio.call(person, username="mia", team="Models ward")
    sign_in(page, studio, "mia")
    base = f"{studio.url}/t/models-ward/models"
    page.goto(f"{base}/?kind=prm")
    check_page(page, "models-empty")
    studio.start_worker("cpu")

    page.get_by_role("link", name="Import a model").first.click()
    page.get_by_label("Name", exact=False).first.fill("Ward policy")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose the model's files first")
    check_page(page, "model-import")
    page.get_by_label("Files of the model").set_input_files(FILES)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="Import of Ward policy")).to_be_visible()
    wait_for_end(page, "Finished")

    shutil.copytree(policy_folder(), studio.home / "shared" / "tiny-policy")
    (studio.home / "shared" / "evil").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(policy_folder() / name, studio.home / "shared" / "evil")
    (studio.home / "shared" / "evil" / "modeling.py").write_text("import os")
    for folder, words in (("evil", "modeling.py: code"), ("tiny-policy", "Finished")):
        page.goto(f"{base}/import/?from=folder")
        page.get_by_label("Folder", exact=True).select_option(label=folder)
        page.get_by_label("Name", exact=False).last.fill("Ward policy")
        if folder == "evil":
            check_page(page, "model-import-folder")
        page.get_by_role("button", name="Import").click()
        wait_for_end(page, words)
    page.goto(f"{base}/")
    expect(page.get_by_role("link", name="Ward policy v2")).to_be_visible()
    expect(page.get_by_role("link", name="clinic-base v1")).to_be_visible()
    check_page(page, "models")

    page.get_by_role("link", name="Ward policy v2").click()
    page.get_by_role("button", name="Make it production").click()
    expect(page.get_by_text("production means Ward policy v2 now.")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    expect(page.get_by_role("region", name="Why it cannot be deleted")).to_contain_text("The alias production")
    check_page(page, "model")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download", exact=False).first.click()
    waiting.value.save_as(tmp_path / "model.tar")
    with tarfile.open(tmp_path / "model.tar") as archive:
        held = archive.extractfile("Ward-policy-v2/model.safetensors").read()
    assert held == (policy_folder() / "model.safetensors").read_bytes()

    page.get_by_role("button", name="Take production away").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Ward policy v2 was deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Ward policy v1")).to_be_visible()
    studio.stop_workers()
