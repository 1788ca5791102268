"""The second factor: setting up an authenticator app, its recovery codes, signing in with it; keys; the password."""

import base64
import hashlib
import hmac
import struct
import time
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import PASSWORD, person
from tests.browser.studio import Studio
from tests.browser.test_entrance_pages import fill_in

Check = Callable[[Page, str], None]


def code(secret: str) -> str:
    """What an authenticator app shows now (RFC 6238: SHA-1, thirty seconds, six digits)."""
    moment = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), moment, hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def confirm(page: Page) -> None:
    """Show once more who it is, as everybody must who changes how they sign in."""
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Is it you?")).not_to_be_visible()


def test_an_authenticator_app_is_set_up_and_used(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="grace", team="Second factors")
    sign_in(page, studio, "grace")
    page.goto(f"{studio.url}/accounts/2fa/")
    expect(page.get_by_role("heading", name="Authenticator app")).to_be_visible()
    check_page(page, "second-factor")
    page.get_by_role("link", name="Set up").first.click()
    confirm(page)
    check_page(page, "second-factor-app")
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill(code(secret))
    page.get_by_role("button", name="Activate").click()
    codes = page.get_by_label("Unused codes").input_value().split()
    assert len(codes) == 10
    check_page(page, "recovery-codes")
    page.goto(f"{studio.url}/accounts/2fa/")
    check_page(page, "second-factor-on")

    page.context.clear_cookies()
    page.goto(f"{studio.url}/accounts/login/")
    fill_in(page, "grace", PASSWORD)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    check_page(page, "second-factor-asked")
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()


def test_who_changes_how_they_sign_in_shows_who_they_are(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="again", team="Again")
    sign_in(page, studio, "again")
    page.goto(f"{studio.url}/accounts/2fa/totp/activate/")
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    check_page(page, "is-it-you")
    confirm(page)
    expect(page.get_by_label("Authenticator secret")).to_be_visible()


def test_a_security_key_is_added(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="keyholder", team="Keys of doors")
    sign_in(page, studio, "keyholder")
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options | {"automaticPresenceSimulation": True}})
    page.goto(f"{studio.url.replace('127.0.0.1', 'localhost')}/accounts/login/")  # keys are bound to a name
    fill_in(page, "keyholder", PASSWORD)
    page.goto(f"{studio.url.replace('127.0.0.1', 'localhost')}/accounts/2fa/webauthn/add/")
    confirm(page)
    check_page(page, "security-key-add")
    page.get_by_label("Name").fill("Blue key")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Unused codes").or_(page.get_by_text("Blue key"))).to_be_visible()
    page.goto(f"{studio.url.replace('127.0.0.1', 'localhost')}/accounts/2fa/webauthn/")
    expect(page.get_by_text("Blue key")).to_be_visible()
    check_page(page, "security-keys")


def test_the_password_is_changed(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="changer", team="Changers")
    sign_in(page, studio, "changer")
    page.goto(f"{studio.url}/accounts/password/change/")
    check_page(page, "password-change")
    page.get_by_label("Current Password").fill("wrong")
    page.get_by_label("New Password", exact=True).fill("short")
    page.get_by_label("New Password (again)").fill("other")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator(".invalid-feedback").first).to_be_visible()
    check_page(page, "password-change-refused")
