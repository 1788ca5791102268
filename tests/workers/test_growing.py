"""Growing trees are shown while somebody watches, and a Redis that is gone holds nothing up."""

import time
import uuid
from pathlib import Path

import pytest
from django.conf import settings as configured

from tests.redis_server import redis_server
from tests.workers.stack import wait_for
from webapp.trees.growing import GrowingTrees, growing_tree, growing_watch


@pytest.fixture
def redis(settings):
    with redis_server(Path(configured.HOME) / "run") as server:
        settings.REDIS = server.url
        yield server


def test_snapshots_are_published_only_while_somebody_watches(redis):
    search_id = uuid.uuid4()
    with GrowingTrees(search_id) as growing:
        time.sleep(1.5)
        assert not growing.due(3), "nobody watches"
        growing_watch(search_id=search_id)
        wait_for(lambda: growing.due(3), "the worker to see that somebody watches")
        growing.publish(3, {"nodes": [{"idx": 0, "text": "Let us see."}]})
        assert not growing.due(3), "at most one a second"
        assert growing.due(4), "each tree by itself"
        found = wait_for(lambda: growing_tree(search_id=search_id, position=3), "the snapshot")
    assert found == {"nodes": [{"idx": 0, "text": "Let us see."}]}
    assert growing_tree(search_id=search_id, position=4) is None


def test_without_redis_nothing_waits(redis):
    search_id = uuid.uuid4()
    growing_watch(search_id=search_id)
    with GrowingTrees(search_id) as growing:
        wait_for(lambda: growing.due(0), "the worker to see that somebody watches")
        redis.stop()
        begun = time.monotonic()
        for position in range(1000):
            growing.publish(position, {"nodes": []})
        assert time.monotonic() - begun < 1.0
        wait_for(lambda: not growing.due(5000), "the worker to see that Redis is gone")
