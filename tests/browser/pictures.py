"""The README's pictures, taken of what `make demo` made: `make pictures` starts the same home, looks, and ends it.

    python -m tests.browser.pictures [--home FOLDER] [--out docs/images]

A search's mosaic, a reasoning tree, the loop, and its last evaluation; light, 1280 pixels wide.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser.studio import ROOT

WIDE = {"width": 1280, "height": 860}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="of the demo; the usual one unless named")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    home = options.home or Path(os.environ.get("MEDS3_HOME", "~/.meds3-studio")).expanduser()
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "meds3core.cli.main", "up", "--no-browser"]
    environment = os.environ | {"MEDS3_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        try:
            pictures(next(line.strip() for line in up.stdout if "/#" in line), options.out)
        finally:
            up.terminate()


def pictures(link: str, out: Path) -> None:
    """Take all of them, by an instance's one-time link."""
    from playwright.sync_api import Page, sync_playwright

    def shot(page: Page, name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
        page.screenshot(path=out / f"{name}.png")
        print(f"{name}.png")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE)
        page.goto(link)
        page.get_by_role("link", name="Searches").first.wait_for()  # the link signs in by itself
        page.get_by_role("link", name="Searches").first.click()
        page.locator("tbody a").first.click()
        shot(page, "search")
        page.get_by_label("Holds").select_option("mixed")
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator("#search-trees tbody a").first.click()
        page.wait_for_load_state("networkidle")
        page.locator("canvas").first.evaluate("canvas => canvas.closest('.card').scrollIntoView()")
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "0"):
            page.locator("canvas").first.press(key)
            page.wait_for_load_state("networkidle")
        shot(page, "tree")
        page.get_by_role("link", name="Evolution", exact=True).first.click()
        page.locator("tbody a").first.click()
        shot(page, "loop")
        page.get_by_role("link", name="Evaluations").first.click()
        page.locator("tbody a").first.click()
        shot(page, "evaluation")
        browser.close()


if __name__ == "__main__":
    main()
