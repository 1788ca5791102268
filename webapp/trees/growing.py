"""Trees while they grow: a snapshot in Redis, at most one a second, only while somebody watches the search.

A page that watches says so every few seconds (`growing_watch`); a worker looks once a second and publishes on a thread
of its own, so that neither a slow Redis nor an absent one holds a search up. Nothing here outlives the moment: the
finished tree in the database is the truth.
"""

import json
import threading
import time
from typing import Any
from uuid import UUID

import redis

from webapp.common.redis_clients import redis_client

LOOK_SECONDS = 1.0
WATCHED_SECONDS = 15
SNAPSHOT_SECONDS = 60


def growing_watch(*, search_id: UUID) -> None:
    """Somebody looks at this search for the next seconds. Raises `redis.RedisError`."""
    redis_client().set(f"watched:{search_id}", 1, ex=WATCHED_SECONDS)


def growing_tree(*, search_id: UUID, position: int) -> dict[str, Any] | None:
    """The newest snapshot of a question's growing tree, if there is one. Raises `redis.RedisError`."""
    found = redis_client().get(f"growing:{search_id}:{position}")
    return json.loads(found) if found else None


class GrowingTrees:
    """Publishes snapshots of one search's trees. Use as a context; `due` and `publish` never wait."""

    def __init__(self, search_id: UUID) -> None:
        self._search_id = search_id
        self._watched = False
        self._published: dict[int, float] = {}
        self._waiting: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="growing", daemon=True)

    def __enter__(self) -> "GrowingTrees":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=LOOK_SECONDS)

    def due(self, position: int) -> bool:
        """Whether a snapshot of this question's tree is wanted now."""
        return self._watched and time.monotonic() - self._published.get(position, 0.0) >= LOOK_SECONDS

    def publish(self, position: int, snapshot: dict[str, Any]) -> None:
        """Let this be the newest snapshot of the question's tree."""
        self._published[position] = time.monotonic()
        with self._lock:
            self._waiting[position] = snapshot

    def _work(self) -> None:
        client = redis_client()
        while not self._over.wait(LOOK_SECONDS):
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            try:
                for position, snapshot in waiting.items():
                    client.set(f"growing:{self._search_id}:{position}", json.dumps(snapshot), ex=SNAPSHOT_SECONDS)
                self._watched = bool(client.exists(f"watched:{self._search_id}"))
            except redis.RedisError:
                self._watched = False  # a picture is missing; the search goes on
