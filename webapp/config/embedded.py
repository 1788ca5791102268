"""Where the embedded stack (`meds3 up`) has its sockets, and how its Redis is reached.

Every command on the same home finds it by this, without a setting.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from webapp.config.secret_files import kept_secret

REDIS_SECRET = "redis"
SOCKET_BYTES = 90
"""A socket's path may have 107 bytes; supervisord adds its process id to one while it starts."""


def run_folder(home: Path) -> Path:
    """The folder of sockets: `run` in the home; where that path is too long for a socket, a private one beside /tmp.

    Raises `ImproperlyConfigured` when somebody else made that private one.
    """
    own = home / "run"
    if len(os.fsencode(own / "supervisor.sock")) <= SOCKET_BYTES:
        return own
    digest = hashlib.blake2b(os.fsencode(home), digest_size=6).hexdigest()
    other = Path(tempfile.gettempdir()) / f"meds3-{os.getuid()}-{digest}"
    other.mkdir(mode=0o700, exist_ok=True)
    found = other.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ImproperlyConfigured(f"{other} belongs to somebody else. Set MEDS3_HOME to a shorter path.")
    return other


def redis_socket(home: Path) -> Path:
    """The socket of the embedded Redis."""
    return run_folder(home) / "redis.sock"


def redis_url(home: Path) -> str:
    """The embedded Redis as `MEDS3_REDIS` would name it; with its password once `meds3 up` has made one."""
    secrets = home / "secrets"
    password = f":{kept_secret(secrets, REDIS_SECRET)}@" if (secrets / REDIS_SECRET).exists() else ""
    return f"unix://{password}{redis_socket(home)}"
