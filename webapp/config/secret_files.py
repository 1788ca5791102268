"""Secrets that the instance makes for itself: one small file each, readable by its owner only."""

import os
import secrets
import stat
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def kept_secret(folder: Path, name: str) -> str:
    """The secret of this name, 384 random bits in text form, made at first use.

    Two processes that start together get the same one: the file is written whole under another name and linked into
    place, and whoever comes second reads the first one's. Raises `ImproperlyConfigured` when others may read the file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        draft = folder / f".{name}.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ImproperlyConfigured(f"{path} can be read by other users of this machine. Mend it: chmod 600 {path}")
    return path.read_text(encoding="ascii").strip()
