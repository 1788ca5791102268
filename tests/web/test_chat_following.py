"""Following answers by their rows, without a worker: how much it asks of the database, and that nothing is missed."""

import asyncio

import pytest
import redis
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.chatting import asked, conversation
from tests.web.people import World
from webapp.chat import turns
from webapp.chat.following import News, follow
from webapp.chat.models import Message, State
from webapp.chat.selectors import glances_at, standing_of
from webapp.chat.services import turn_stop
from webapp.chat.turns import Progress
from webapp.common.redis_clients import async_redis_client, redis_client

pytestmark = pytest.mark.django_db(transaction=True)

FOLLOWERS = 30


@pytest.fixture
def world(transactional_db):
    cache.clear()
    return World().built()


def test_many_that_wait_share_one_look(world):
    first = asked(world.team, "First?")
    waiting = [asked(world.team, "Next?") for _ in range(4)]
    told: list[list[News]] = [[] for _ in range(FOLLOWERS)]

    queries: list[str] = []

    def record(execute, sql, parameters, many, context):
        queries.append(sql)
        return execute(sql, parameters, many, context)

    async def play() -> None:
        all_wait = asyncio.Event()

        async def hear(number: int) -> None:
            async for news in follow(waiting[number % len(waiting)].pk):
                told[number].append(news)
                if all(told):
                    all_wait.set()
                if len(told[number]) == 2:
                    return

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(FOLLOWERS):
                group.create_task(hear(number))
            await all_wait.wait()
            queries.clear()
            await database_sync_to_async(turn_stop)(message=first)

    with connection.execute_wrapper(record):
        async_to_sync(play)()
    for number, news in enumerate(told):
        place = number % len(waiting)
        assert [each.ahead for each in news] == [place + 1, place], "one less is before it now"
    looks = [query for query in queries if query.startswith("SELECT")]
    assert 2 <= len(looks) < FOLLOWERS / 2, "all look together"


def test_a_row_is_read_again_when_it_knows_more(world):
    message = asked(world.team, "One?")
    texts: list[str] = []

    def work(text: str, seq: int, candidates: int) -> None:
        told = [{"text": "x" * 1000, "answer": None, "score": None}] * candidates
        turns.turns_write(progress=[(message.pk, 1, Progress(text, seq, [], told))])

    async def play() -> list[News]:
        heard: list[News] = []
        async with asyncio.timeout(60):
            async for news in follow(message.pk):
                heard.append(news)
                match len(heard):
                    case 1:
                        await database_sync_to_async(turns.turns_claim)(worker="w", most=1)
                        await database_sync_to_async(work)("Step 0: ", 1, 0)
                    case 2:
                        await database_sync_to_async(work)("Step 0: Go.", 2, 2)
                    case 3:
                        progress = Progress("Step 0: Go.", 3, [], [])
                        ended = {"turn": message.pk, "attempt": 1, "state": State.DONE, "progress": progress}
                        await database_sync_to_async(turns.turn_end)(**ended)
        return heard

    with CaptureQueriesContext(connection) as asked_for:
        heard = async_to_sync(play)()
    for news in heard:
        texts.append(news.text if news.whole else (texts[-1] if texts else "") + news.text)
    assert texts == ["", "Step 0: ", "Step 0: Go.", "Step 0: Go."]
    assert heard[2].candidates == 2 and heard[-1].is_over
    assert not [each for each in asked_for if "x" * 1000 in each["sql"] and each["sql"].startswith("SELECT")]


def test_the_length_of_candidates_is_asked_for_and_not_what_they_say(world):
    message = asked(world.team, "One?")
    Message.objects.filter(pk=message.pk).update(candidates=[{"text": "long " * 9}] * 7)
    with CaptureQueriesContext(connection) as asked_for:
        assert standing_of(message_id=message.pk).candidates == 7
    (query,) = asked_for
    assert "array_length" in query["sql"].lower()


def test_glances_say_who_is_before_one(world):
    turns_asked = [asked(world.team, f"{number}?") for number in range(4)]
    other = asked(world.other_team, "And we?")
    turns.turns_claim(worker="w", most=1)
    gone = conversation(world.team)
    found = glances_at(messages=[each.pk for each in (*turns_asked, other)] + [gone.pk])
    assert [found[each.pk].ahead for each in (*turns_asked, other)] == [0, 0, 1, 2, 3]
    assert gone.pk not in found and found[turns_asked[0].pk].state == State.ANSWERING


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix://:s%40cret@/run/a%20b.sock?db=2", {"path": "/run/a b.sock", "password": "s@cret", "db": 2}),
        ("redis://:secret@cache.inside:7000/3", {"host": "cache.inside", "port": 7000, "password": "secret", "db": 3}),
    ],
)
def test_both_kinds_of_connection_go_to_the_same_redis(settings, url, expected):
    settings.REDIS = url
    for client in (redis_client(), async_redis_client()):
        assert isinstance(client, redis.Redis | redis.asyncio.Redis)
        assert expected.items() <= client.connection_pool.connection_kwargs.items()
