"""Fixtures of the web application's browser tests. Files with a `browser` or `page` of their own keep these.

def test_members(studio, page, check_page):
    studio.call(person, username="ada", team="Oncology")
    sign_in(page, studio, "ada")
    page.goto(f"{studio.url}/t/oncology/members/")
    check_page(page, "members")
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.guard import Guard, examine
from tests.browser.people import retire
from tests.browser.studio import ROOT, Studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = ROOT / "runs" / "screenshots"


RUNNING: list[Studio] = []
"""The instance of this process, once there is one."""


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A running instance, shared by all tests of a run: each makes its own people and teams."""
    running = Studio(tmp_path_factory.mktemp("studio"))
    RUNNING.append(running)
    yield running
    RUNNING.remove(running)
    running.stop()


@pytest.fixture(scope="module", autouse=True)
def nobody_is_left() -> Iterator[None]:
    """Workers that a file's tests started end with it, and the names of its people are free again.

    The next file may count on nobody doing its jobs, and call its people as it likes.
    """
    yield
    for running in RUNNING:
        running.stop_workers()
        running.call(retire)


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """One Chromium for a file of tests: Playwright runs once at a time in a process, and other files have their own."""
    pytest.importorskip("playwright", reason="playwright is not installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = shutil.which("chromium") or (str(own) if own.exists() else None)
        if found is None:
            pytest.skip("no Chromium: neither a system package nor playwright's own")
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *quiet])
        yield launched
        launched.close()


@pytest.fixture
def page(chromium: "Browser", studio: Studio) -> "Iterator[Page]":
    """A new visitor's page. The test fails at its end when the page broke the content policy, wrote an error to the
    console, or asked another server for anything."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(120_000)  # a busy machine is slow, not broken
    opened = context.new_page()
    guard = Guard(opened, studio.url)
    yield opened
    context.close()
    assert guard.complaints == []


@pytest.fixture(scope="session")
def check_page() -> "Callable[[Page, str], None]":
    """Look at a page as it stands, light and dark, wide and on a tablet: see `guard.examine`."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return lambda page, name: examine(page, name, SCREENSHOTS)
