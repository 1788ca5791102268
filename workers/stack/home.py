"""Makes a home fit to start on: folders, secrets, Redis' configuration, the database's tables, static files."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from webapp.config.embedded import REDIS_SECRET, redis_socket, run_folder
from webapp.config.secret_files import kept_secret
from webapp.registry.bundled import bundled_benchmark_ensure, bundled_ensure

STATIC_MARK = ".collected"


def folders_make(home: Path) -> Path:
    """The folders, readable by their owner only; gives that of the sockets."""
    for name in ("", "run", "logs", "redis", "secrets"):
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(settings.FILES).mkdir(mode=0o700, parents=True, exist_ok=True)
    run = run_folder(home)
    run.mkdir(mode=0o700, exist_ok=True)
    return run


def redis_configure(home: Path) -> Path:
    """Redis' configuration: on a private socket only, with a password, keeping what it holds. Gives the file.

    Never discards a message to make room (`noeviction`): a full Redis is an error that somebody sees.
    """
    run = run_folder(home)
    lines = [
        "port 0",
        f'unixsocket "{redis_socket(home)}"',
        "unixsocketperm 700",
        f"requirepass {kept_secret(home / 'secrets', REDIS_SECRET)}",
        f'dir "{home / "redis"}"',
        "appendonly yes",
        'save ""',
        "maxmemory-policy noeviction",
        f'pidfile "{redis_pid_file(home)}"',
        "daemonize no",
    ]
    path = run / "redis.conf"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def redis_pid_file(home: Path) -> Path:
    """Where Redis says its process id."""
    return run_folder(home) / "redis.pid"


def sockets_remove(home: Path) -> None:
    """Sockets and process ids of a stack that is gone."""
    for name in ("redis.sock", "redis.pid", "redis.conf", "supervisor.sock", "supervisord.pid", "supervisord.conf"):
        (run_folder(home) / name).unlink(missing_ok=True)


def prepare(say: Callable[[str], None]) -> None:
    """Tables, static files and what comes with the product."""
    applied = database_prepare()
    if applied:
        say(f"database: {applied} migrations applied")
    if static_collect():
        say("static files: collected")
    bundled_ensure()
    bundled_benchmark_ensure()


def database_prepare() -> int:
    """Apply the migrations that are missing; gives their number."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        call_command("migrate", verbosity=0, interactive=False)
    return len(missing)


def static_collect() -> bool:
    """Collect static files when they have changed since; says whether they had."""
    root = Path(settings.STATIC_ROOT)
    mark = root / STATIC_MARK
    present = _static_state()
    if mark.exists() and mark.read_text(encoding="ascii") == present:
        return False
    mark.unlink(missing_ok=True)
    call_command("collectstatic", verbosity=0, interactive=False)
    mark.write_text(present, encoding="ascii")
    return True


def _static_state() -> str:
    digest = hashlib.blake2b(digest_size=16)
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
