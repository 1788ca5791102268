"""Whether this instance can serve: what a load balancer asks, and what an operator reads when it cannot.

Database, migrations and Redis decide. Workers and disk are reported and do not take the pages away from people.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from webapp.common.redis_clients import redis_client
from webapp.health.selectors import workers_alive
from webapp.jobs.kinds import Queue

LOW_DISK = 0.05
"""Less than this share of the disk free is worth an alarm."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    said: str
    decides: bool = True
    """Whether the instance is not ready without it."""


@dataclass(frozen=True)
class Readiness:
    """All of it."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the instance can serve."""
        return all(check.ok for check in self.checks if check.decides)

    def details(self) -> dict[str, object]:
        """For an operator; no content, no secret."""
        checks = {each.name: {"ok": each.ok, "said": each.said, "decides": each.decides} for each in self.checks}
        return {"status": _word(self.ok), "checks": checks}


def readiness(*, thorough: bool) -> Readiness:
    """Look at what decides; with `thorough` also at workers and disk."""
    checks = [_tried("database", _database), _tried("redis", _redis)]
    if checks[0].ok:
        checks.append(_tried("migrations", _migrations))
        if thorough:
            checks += [_tried(f"workers of queue {queue}", lambda queue=queue: _workers(queue)) for queue in Queue]
    if thorough:
        checks.append(_tried("disk", _disk))
    return Readiness(tuple(checks))


def _word(ok: bool) -> str:
    return "ok" if ok else "not ready"


def _tried(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (DatabaseError, redis.RedisError, OSError) as error:
        return Check(name, False, f"does not answer ({type(error).__name__})")


def _database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check("database", True, connection.vendor)


def _redis() -> Check:
    redis_client().ping()
    return Check("redis", True, "answers")


_migrated: set[str] = set()
"""Databases found complete: migrations never become missing while a process runs."""


def _migrations() -> Check:
    if connection.alias not in _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return Check("migrations", False, f"{len(missing)} are missing: run `manage.py migrate`")
        _migrated.add(connection.alias)
    return Check("migrations", True, "complete")


def _workers(queue: Queue) -> Check:
    alive = workers_alive(queue=queue)
    said = f"{alive} alive" if alive else "none is alive: its jobs wait"
    return Check(f"workers of queue {queue}", alive > 0, said, decides=False)


def _disk() -> Check:
    place = next(path for path in (Path(settings.FILES), *Path(settings.FILES).parents) if path.exists())
    usage = shutil.disk_usage(place)
    said = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB free where the files are"
    return Check("disk", usage.free > LOW_DISK * usage.total, said, decides=False)
