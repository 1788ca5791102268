"""Files that pages load: those of others are what was fetched; templates ask for nothing that the policy forbids."""

import hashlib
import re
from pathlib import Path

import pytest

from webapp.common.vendor import FILES

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "webapp" / "static"
VENDOR = STATIC / "vendor"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_vendored_files_are_those_that_were_fetched() -> None:
    listed = {}
    for line in (VENDOR / "CHECKSUMS.sha256").read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        listed[name] = digest
    present = [path for path in VENDOR.rglob("*") if path.is_file() and path.parent != VENDOR]
    assert {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in present
    } == listed


def test_every_package_has_its_licence_and_a_line_in_the_list() -> None:
    listed = (VENDOR / "README.md").read_text()
    for folder in (each for each in VENDOR.iterdir() if each.is_dir()):
        assert (folder / "LICENSE").read_text().strip()
        assert f"`{folder.name}`" in listed


def test_pages_load_files_that_exist() -> None:
    assert [path for path in FILES.values() if not (STATIC / path).is_file()] == []


def test_icons_are_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / FILES["icons.svg"]).read_text()))
    named = (ROOT / "requirements" / "vendor_icons.txt").read_text().split()
    assert sprite == set(named)
    asked = {
        name
        for path in TEMPLATES
        for name in re.findall(r'\{% icon "([^"]+)"|(?<![\w-])icon="([^"]+)"', path.read_text())
        for name in name
        if name
    }
    assert asked - sprite == set()


def test_the_navigation_has_its_icons() -> None:
    from webapp.common import navigation

    entries = (navigation.HOME, *navigation.WORK, *navigation.TEAM, *navigation.INSTANCE, *navigation.ACCOUNT)
    sprite = (STATIC / FILES["icons.svg"]).read_text()
    assert [entry.icon for entry in entries if f'id="{entry.icon}"' not in sprite] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT / "templates").as_posix())
def test_templates_keep_to_the_content_policy(path: Path) -> None:
    """No style attribute, no handler, no script of their own, nothing from another server; comments aside."""
    text = re.sub(r"\{% comment %\}.*?\{% endcomment %\}", "", path.read_text(), flags=re.DOTALL)
    if path.relative_to(ROOT / "templates").parts[:2] == ("accounts", "mail"):
        return
    assert re.findall(r"""\sstyle\s*=|\son[a-z]+\s*=\s*["']|<style|javascript:""", text) == []
    scripts = re.findall(r"<script(?P<attributes>[^>]*)>", text)
    assert [each for each in scripts if " src=" not in each and 'type="application/json"' not in each] == []
    assert re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", text) == []
