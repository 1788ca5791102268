"""What every page is held to: no breach of the content policy, nothing from other servers, nothing axe-core finds."""

from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.people import session
from tests.browser.studio import Studio

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request

WIDTHS = {"wide": 1280, "tablet": 768}
PHONE = 390
THEMES = ("light", "dark")


class Guard:
    """Gathers what a page should not have done."""

    def __init__(self, page: "Page", url: str) -> None:
        self.complaints: list[str] = []
        self._own = (url, url.replace("127.0.0.1", "localhost"))  # security keys are bound to a name
        self._documents: set[str] = set()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: "ConsoleMessage") -> None:
        # A page that answers 404 or 403 on purpose is named as a resource that failed.
        own_status = message.text.startswith("Failed to load resource") and message.location["url"] in self._documents
        # A page that is left while its socket is still connecting.
        left = "WebSocket is closed before the connection is established" in message.text
        if message.type in ("error", "warning") and not own_status and not left:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: "Request") -> None:
        if request.resource_type == "document":
            self._documents.add(request.url)
        if not request.url.startswith((*self._own, "data:", "blob:", "about:")):
            self.complaints.append(f"asked another server: {request.url}")


def sign_in(page: "Page", studio: Studio, username: str) -> None:
    """Let the page be this person's, as if they had signed in just now."""
    key = studio.call(session, username=username)
    page.context.add_cookies([{"name": "sessionid", "value": key, "url": studio.url}])


def examine(page: "Page", name: str, folder: Path) -> None:
    """Photograph the page in both themes, wide and on a tablet, and let axe-core look at each; on a phone see that
    nothing hangs over the edge. The visitor's theme must be "as the device"."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    assert page.locator("html").get_attribute("data-theme") == "auto"
    for size, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.wait_for_function("theme => document.documentElement.dataset.bsTheme === theme", arg=theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
            page.screenshot(path=folder / f"{name}-{size}-{theme}.png", full_page=True)
            found = axe.run(page).response["violations"]
            told = [(each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"]) for each in found]
            assert told == [], f"{name} {size} {theme}: {told}"
    page.set_viewport_size({"width": PHONE, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, f"{name} is wider than a phone"
    page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
