"""Getting in: sign-in, sign-out, forgotten passwords, lock-out, error pages; and the frame once inside."""

from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import PASSWORD, person, theme
from tests.browser.studio import Studio

Check = Callable[[Page, str], None]


def fill_in(page: Page, login: str, password: str) -> None:
    page.get_by_label("User name or e-mail").fill(login)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_and_out(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="ada", name="Ada Lovelace", team="Oncology")
    page.goto(studio.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    check_page(page, "sign-in")
    fill_in(page, "ada", "not her password")
    expect(page.get_by_role("alert")).to_contain_text("password")
    check_page(page, "sign-in-refused")
    fill_in(page, "ada", PASSWORD)
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    check_page(page, "home")
    page.get_by_role("button", name="Ada Lovelace: your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_theme_is_kept_with_the_person(studio: Studio, page: Page, chromium, check_page: Check) -> None:
    studio.call(person, username="tom", team="Theme team")
    sign_in(page, studio, "tom")
    page.goto(studio.url)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="tom: your account").click()
    check_page(page, "account-menu")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert page.evaluate(background) != light
    assert studio.call(theme, username="tom") == "dark"
    page.emulate_media(color_scheme="light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_the_device_decides_where_nobody_chose(studio: Studio, page: Page) -> None:
    page.goto(f"{studio.url}/accounts/login/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_navigation_shows_what_the_role_allows(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="olga", team="Radiology")
    studio.call(person, username="anna", team="Radiology", role="annotator")
    studio.call(person, username="anna2", team="Cardiology")
    sign_in(page, studio, "anna")
    page.goto(studio.url)
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages.get_by_role("link", name="Members")).to_be_visible()
    expect(pages.get_by_role("link", name="Audit log")).to_have_count(0)
    expect(pages.get_by_role("link", name="Operations")).to_have_count(0)
    pages.get_by_role("link", name="Members").click()
    expect(pages.get_by_role("link", name="Members")).to_have_attribute("aria-current", "page")
    sign_in(page, studio, "olga")
    page.reload()
    expect(pages.get_by_role("link", name="Audit log")).to_be_visible()


def test_somebody_in_two_teams_changes_between_them(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="first", team="Surgery")
    studio.call(person, username="both", team="Anaesthesia")
    studio.call(join, username="both", team="Surgery")
    sign_in(page, studio, "both")
    page.goto(studio.url)
    switch = page.get_by_role("button", name="Change team")
    expect(switch).to_contain_text("Anaesthesia")
    switch.click()
    check_page(page, "team-switch")
    page.get_by_role("link", name="Surgery Viewer").first.click()
    expect(switch).to_contain_text("Surgery")
    page.goto(studio.url)  # a page of no team keeps the team seen last
    expect(switch).to_contain_text("Surgery")


def join(*, username: str, team: str) -> None:
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team, User
    from webapp.accounts.rules import Role
    from webapp.accounts.services import membership_set

    user, found = User.objects.get(username=username), Team.objects.get(name=team)
    membership_set(actor=SYSTEM, team=found, user=user, role=Role.VIEWER)


def test_a_tablet_folds_the_navigation(studio: Studio, page: Page) -> None:
    studio.call(person, username="tablet", team="Tablet team")
    sign_in(page, studio, "tablet")
    page.set_viewport_size({"width": 768, "height": 1024})
    page.goto(studio.url)
    members = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Members")
    expect(members).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(members).to_be_visible()


def test_somebody_in_no_team_is_told_what_to_do(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="newcomer")
    sign_in(page, studio, "newcomer")
    page.goto(studio.url)
    expect(page.get_by_text("Ask an owner of the team")).to_be_visible()
    check_page(page, "home-no-team")
    studio.call(person, username="operator", is_operator=True)
    sign_in(page, studio, "operator")
    page.goto(studio.url)
    page.get_by_role("main").get_by_role("link", name="Make a team").click()
    expect(page).to_have_url(f"{studio.url}/teams/new/")


def test_the_first_tab_stop_skips_the_navigation(studio: Studio, page: Page) -> None:
    studio.call(person, username="keys", team="Keys")
    sign_in(page, studio, "keys")
    page.goto(studio.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_without_mail_a_reset_says_whom_to_ask(studio: Studio, page: Page, check_page: Check) -> None:
    page.goto(f"{studio.url}/accounts/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    expect(page.get_by_text("meds3 user reset")).to_be_visible()
    check_page(page, "password-reset-no-mail")


def test_people_join_by_invitation(studio: Studio, page: Page, check_page: Check) -> None:
    page.goto(f"{studio.url}/accounts/signup/")
    expect(page.get_by_role("heading", name="People join by invitation")).to_be_visible()
    check_page(page, "sign-up-closed")


def test_too_many_wrong_passwords_lock_this_name_from_here(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="locked")
    page.goto(f"{studio.url}/accounts/login/")
    for _ in range(8):
        fill_in(page, "locked", "wrong")
        if page.get_by_role("heading", name="Too many wrong passwords").is_visible():
            break
    expect(page.get_by_text("15 minutes")).to_be_visible()
    check_page(page, "locked-out")


def test_error_pages(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="head", team="Pathology")
    studio.call(person, username="looker", team="Pathology", role="viewer")
    sign_in(page, studio, "looker")
    assert page.goto(f"{studio.url}/t/pathology/settings/").status == 403
    expect(page.get_by_role("heading", name="This is not open to you")).to_be_visible()
    check_page(page, "error-403")
    assert page.goto(f"{studio.url}/t/another-team/members/").status == 404
    check_page(page, "error-404")
    page.get_by_role("link", name="To the home page").click()
    page.get_by_role("button", name="looker: your account").click()
    page.get_by_role("button", name="Dark").evaluate("button => { button.value = 'pink' }")
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("heading", name="This request was not understood")).to_be_visible()
    check_page(page, "error-400")


def test_a_form_out_of_date_says_so(studio: Studio, page: Page, check_page: Check) -> None:
    page.goto(f"{studio.url}/accounts/login/")
    page.context.clear_cookies()
    fill_in(page, "ada", PASSWORD)
    expect(page.get_by_role("heading", name="This form is out of date")).to_be_visible()
    check_page(page, "error-csrf")


def broken() -> str:
    """What a crash answers."""
    from webapp.common.errors import server_error

    return server_error(None).content.decode()  # type: ignore[arg-type]


def test_the_page_of_a_crash(studio: Studio, page: Page, check_page: Check) -> None:
    policy = page.request.get(f"{studio.url}/accounts/login/").headers["content-security-policy"]
    headers = {"content-security-policy": policy, "content-type": "text/html"}
    text = studio.call(broken)
    page.route("**/crashed", lambda route: route.fulfill(status=500, headers=headers, body=text))
    page.goto(f"{studio.url}/crashed")
    expect(page.get_by_role("heading", name="Something broke on our side")).to_be_visible()
    check_page(page, "error-500")
