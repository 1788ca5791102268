"""Pages of what leaves an instance: webhooks, remote engines, API tokens."""

import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.outward import outward
from tests.browser.people import person
from tests.browser.studio import Studio

Check = Callable[[Page, str], None]


def test_an_owner_sees_webhooks_and_what_was_sent(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="wanda", team="Outward")
    sign_in(page, studio, "wanda")
    page.goto(f"{studio.url}/t/outward/webhooks/")
    expect(page.get_by_text("None yet.")).to_be_visible()
    failing = studio.call(outward, team="Outward")
    page.goto(f"{studio.url}/t/outward/webhooks/")
    page.get_by_label("Name").fill("Elsewhere")
    page.get_by_label("Address").fill("https://elsewhere.example/")
    page.get_by_label("A job failed").check()
    page.get_by_role("button", name="Make the webhook").click()
    expect(page.get_by_role("alert")).to_contain_text("MEDS3_OUTBOUND_ALLOW")
    check_page(page, "webhooks")
    page.goto(f"{studio.url}/t/outward/webhooks/{failing}/")
    expect(page.get_by_text("No answer in time.")).to_be_visible()
    check_page(page, "webhook")
    page.get_by_role("button", name="New secret").click()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_role("textbox", name="Secret")).to_have_value(re.compile(r".{40,}"))
    page.goto(f"{studio.url}/t/outward/webhooks/")
    page.get_by_role("link", name="Old pager").click()
    expect(page.get_by_role("alert")).to_contain_text("we switched it off")


def test_an_owner_registers_remote_engines(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="egon", team="Engines")
    studio.call(outward, team="Engines")
    sign_in(page, studio, "egon")
    page.goto(f"{studio.url}/t/engines/remote-engines/")
    check_page(page, "remote-engines")
    page.get_by_role("link", name="Change GPU box").click()
    expect(page.get_by_label("Key")).to_have_value("")
    check_page(page, "remote-engine")


def test_a_tokens_scopes_are_read_as_words(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="tilda", team="Tokens")
    sign_in(page, studio, "tilda")
    page.goto(f"{studio.url}/t/tokens/tokens/")
    page.get_by_role("textbox", name="Name").fill("Night shift")
    for words in ("See jobs", "Submit jobs", "Pause, resume", "Read datasets"):
        page.get_by_label(words).check()
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_label("Token", exact=True)).to_have_value(re.compile("^meds3_"))
    page.get_by_text("4 things").click()
    expect(page.get_by_role("listitem").filter(has_text="Submit jobs of every kind")).to_be_visible()
    check_page(page, "tokens")
