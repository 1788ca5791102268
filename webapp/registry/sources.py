"""From where a model may come besides an upload: folders that the operator listed, and the hub where it is allowed.

Nobody types a path. A root has a name, a folder in it has a name, and both must be offered here; the worker that copies
asks `root_folder` again.
"""

import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from django.conf import settings

from meds3core.models.screen import FOLDER_NAME
from webapp.registry.storing import RegistryError

MOST_FOLDERS = 500


@dataclass(frozen=True)
class Root:
    """A listed folder and the folders in it that may be picked, by name."""

    name: str
    there: bool
    """False: the operator listed it, but this machine does not have it."""
    folders: tuple[str, ...]
    more: int
    """Folders beyond those shown."""


def roots_offered() -> list[Root]:
    """Every listed root. Links, hidden folders and odd names are not offered."""
    return [_root(name, Path(place)) for name, place in sorted(settings.IMPORT_ROOTS.items())]


def _root(name: str, place: Path) -> Root:
    try:
        with os.scandir(place) as entries:
            names = sorted(
                each.name for each in entries if each.is_dir(follow_symlinks=False) and FOLDER_NAME.fullmatch(each.name)
            )
    except OSError:
        return Root(name, False, (), 0)
    return Root(name, True, tuple(names[:MOST_FOLDERS]), max(0, len(names) - MOST_FOLDERS))


def root_folder(root: str, folder: str) -> Path:
    """The real folder behind two names. Raises `RegistryError` for what is not listed, not there, or a link."""
    place = settings.IMPORT_ROOTS.get(root)
    if place is None:
        raise RegistryError(f"There is no folder called {root!r} to import from. The operator lists them.")
    if not FOLDER_NAME.fullmatch(folder):
        raise RegistryError("The name of a folder holds no path.")
    path = Path(place) / folder
    try:
        found = path.lstat()
        real, inside = path.resolve(strict=True), Path(place).resolve(strict=True)
    except OSError:
        raise RegistryError(f"{root}/{folder} is not there (any more), or cannot be read.") from None
    if stat.S_ISLNK(found.st_mode) or real != inside / folder:
        raise RegistryError(f"{root}/{folder} is a link. Links are not followed; put the folder itself there.")
    if not stat.S_ISDIR(found.st_mode):
        raise RegistryError(f"{root}/{folder} is no folder.")
    return real


def hub_offered() -> bool:
    """Whether the operator lets anything be fetched from the hub."""
    return bool(settings.HUB_ALLOW)


def hub_allowed(name: str) -> bool:
    """Whether a model of this name may be fetched from the hub."""
    return any(fnmatchcase(name, pattern) for pattern in settings.HUB_ALLOW)
