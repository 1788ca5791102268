"""What a file is called: for people only. On disk it has its id for a name."""

import unicodedata
from pathlib import PurePosixPath

LONGEST = 200
NAMELESS = "file"


def display_name(text: str) -> str:
    """The base name of what a sender calls a file, without control and direction characters; never empty or a path."""
    base = text.replace("\\", "/").rstrip("/").rpartition("/")[2]
    # Categories C: controls, formats (which may turn the direction of reading round), halves of surrogates, private.
    plain = "".join(char for char in base if unicodedata.category(char)[0] != "C").strip()
    if plain in ("", ".", ".."):
        return NAMELESS
    if len(plain) <= LONGEST:
        return plain
    suffix = PurePosixPath(plain).suffix[:20]
    return plain[: LONGEST - len(suffix)] + suffix


def stem_of(name: str) -> str:
    """The name without its ending: what a dataset, or the source of its rows, is called at first."""
    return PurePosixPath(name).stem or NAMELESS
