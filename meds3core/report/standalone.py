"""What every self-contained page shares: templates, inlined assets with their hashes, inert data, whole files.

A page's policy allows its one script and one style by hash and nothing else, so a question's text cannot act even if
it got out of its quotes.
"""

import base64
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """Templates of this room: everything escaped, a missing name is an error."""
    loader = PackageLoader("meds3core.report", "assets")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


def asset(name: str) -> str:
    """The text of a file in `assets`."""
    return resources.files("meds3core.report").joinpath("assets", name).read_text(encoding="utf-8")


def script_of(names: Sequence[str]) -> str:
    """A page's script: its files in order, in a scope of their own."""
    parts = "\n".join(asset(name) for name in names)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def source_hash(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inert_json(value: Any) -> str:
    """JSON that can stand in a script element: no character in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def packed(text: str) -> str:
    """Gzipped and base64-coded, the same every time; the page unpacks it when it is looked at."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def write_pieces(out: Path, pieces: Iterable[str]) -> None:
    """Write a page; it appears whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
