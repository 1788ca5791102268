"""`MEDS3_IMPORT_ROOTS`: folders of this installation's machines from which models may be picked, each by a name."""

import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def import_roots(listed: list[str]) -> dict[str, Path]:
    """From `name=/folder` or `/folder`, which is called as its last part. Raises `ImproperlyConfigured`."""
    found: dict[str, Path] = {}
    for entry in filter(None, (each.strip() for each in listed)):
        stated, _, place = entry.rpartition("=")
        path = Path(place)
        name = stated or path.name
        if not path.is_absolute() or not _NAME.fullmatch(name):
            raise ImproperlyConfigured(f"MEDS3_IMPORT_ROOTS: {entry!r} is not of the form name=/absolute/folder")
        if name in found:
            raise ImproperlyConfigured(f"MEDS3_IMPORT_ROOTS: two folders are called {name!r}; give them names")
        found[name] = path
    return found
