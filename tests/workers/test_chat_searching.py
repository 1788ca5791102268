"""Tree search in a chat: it reads the conversation, draws as the person set it, ends where their strings stand, and
tells its own turn how far it is, and nobody else's.
"""

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core.cache import cache

from meds3core.config.chat import ChatConfig
from meds3core.decoding.metering import SharedScorer
from meds3core.engines.base import Message, Prompt, Request, Sampling
from meds3core.engines.scripted import ScriptedEngine, ScriptedReply
from meds3core.text.steps import NEXT_STEP, OPENER, header, render_step
from tests.chatting import asked, tiny_prm
from tests.core.decoding.factory import ToyModel
from tests.redis_server import redis_server
from tests.web.people import World
from webapp.chat import turns
from webapp.chat.models import Message as Row
from webapp.chat.models import State
from webapp.chat.questions import question_of
from webapp.chat.turns import Claimed
from workers.chatting import searching
from workers.chatting.engines import Loaded
from workers.chatting.searching import StoppingEngine, searched
from workers.chatting.worker import ChatWorker

HISTORY = (("user", "My name is Ada."), ("assistant", "Hello, Ada."), ("user", "What is 2 + 3?"))


def searches(config: ChatConfig, made_for: str, respond, likelihood=None):
    """A search by hand: what it gave, and all that was asked for it."""
    seen = []

    def remember(request):
        seen.append(request)
        return respond(request)

    turn = Claimed(uuid4(), 1, HISTORY, config, uuid4(), None, uuid4())
    out = SimpleNamespace(offer=lambda _: None, prompt_tokens=0, generated_tokens=0)

    async def play():
        async with SharedScorer(ToyModel(levels=1000)) as scorer:
            engine = ScriptedEngine(remember, likelihood=likelihood)
            return await searched(turn, engine, question_of(HISTORY), scorer, out, said, made_for)

    return asyncio.run(play()), seen


async def said(_: str) -> None:
    """Nobody listens."""


def thinks(request: Request) -> str:
    """Another thought for every seed; an answer from the third step on."""
    number = len(request.prompt.pieces) - 1
    thought = f" Thought {request.sampling.seed % 97}."
    if number > 2 or NEXT_STEP not in request.sampling.stop:
        return f"{thought} The answer is {request.sampling.seed % 5}."
    return thought


@pytest.mark.parametrize("made_for", ["plain", "guided"])
def test_it_reads_the_conversation_and_draws_as_the_person_set_it(made_for):
    config = ChatConfig(way="tree-search", nodes=8, system="Be kind.", temperature=0.9, top_p=0.8, seed=5)
    prompts = []

    def weighs(prompt: Prompt, _: str) -> float:
        prompts.append(prompt)
        return -1.0

    found, seen = searches(config, made_for, thinks, weighs)
    assert found.steps and len(seen) > 4
    prompts += [request.prompt for request in seen]
    for prompt in prompts:
        system, *earlier, last = prompt.messages
        assert system == Message("system", "Be kind.")
        assert [(turn.role, turn.content) for turn in earlier] == list(HISTORY[:-1])
        assert last.role == "user" and "What is 2 + 3?" in last.content
        assert "Ada" not in last.content, "what was said before stands before"
        assert (last.content == "What is 2 + 3?") == (made_for == "plain")
    assert (len(prompts) > len(seen)) == (made_for == "guided"), "moves are planned over the conversation too"
    assert {(request.sampling.temperature, request.sampling.top_p) for request in seen} == {(0.9, 0.8)}

    again, same = searches(config, made_for, thinks, weighs)
    assert (again.text, same) == (found.text, seen)
    other, _ = searches(config.model_copy(update={"seed": 6}), made_for, thinks, weighs)
    assert other.text != found.text
    _, greedy = searches(config.model_copy(update={"temperature": 0.0}), made_for, thinks, weighs)
    assert {request.sampling.temperature for request in greedy} == {searching.DRAWN_AT}, "else all moves are one"


def test_a_path_ends_where_a_stop_string_stands():
    config = ChatConfig(way="tree-search", nodes=12, stop=("###",), seed=5)

    def chatters(request: Request) -> ScriptedReply:
        number = len(request.prompt.pieces) - 1
        assert number < 3, "nothing follows an end"
        text = f" Thought {request.sampling.seed % 97}."
        return ScriptedReply(f"{text} The answer is 5.### And more" if number > 1 else text)

    found, _ = searches(config, "plain", chatters)
    assert found.text.endswith("The answer is 5.") and "###" not in found.text


def step(engine: StoppingEngine, *bodies: str, stop: tuple[str, ...] = (NEXT_STEP,)) -> str:
    pieces = [render_step(number, body) for number, body in enumerate((OPENER, *bodies))]
    request = Request(Prompt((), (*pieces, header(len(pieces)))), Sampling(max_tokens=50, stop=stop))
    return asyncio.run(engine.generate(request)).text


def test_stop_strings_end_a_path_across_steps():
    inner = ScriptedEngine(lambda _: " One.\n\nStep 2: Two. END Three.\n\nStep 3: Four.")
    assert step(StoppingEngine(inner, ("END",)), stop=()) == " One.\n\nStep 2: Two. "
    # A step by itself; what follows it, and what follows that, is not asked for.
    engine = StoppingEngine(ScriptedEngine(lambda _: "  Two. END Three."), ("END",))
    assert step(engine, "One.").strip() == "Two."
    asked_for = engine.generated_tokens
    assert step(engine, "One.", "Two.") == step(engine, "One.", "Two.", "Three.", stop=()) == ""
    assert engine.generated_tokens == asked_for
    assert step(engine, "One.", "Else.").strip() == "Two.", "another path goes on"
    # A string that the headers of steps make up.
    engine = StoppingEngine(ScriptedEngine(lambda _: " More."), ("Step 2:", "problem"))
    assert step(engine) == " More.", "what the answer begins with ends nothing"
    assert step(engine, "One.") == ""


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_how_far_a_search_is_is_told_to_its_own_turn_only(settings, monkeypatch):
    cache.clear()
    world = World().built()
    monkeypatch.setattr(searching, "TELL_SECONDS", 0.05)
    prm = tiny_prm(world.team)
    tree = asked(world.team, config=ChatConfig(way="tree-search", nodes=4), scorer=prm)
    other = asked(world.team, config=ChatConfig(way="self-consistency", n=2))

    async def play():
        hold = asyncio.Event()

        async def held(_: Request) -> None:
            await hold.wait()

        class InMemory:
            """Engines that have all that is asked for."""

            @asynccontextmanager
            async def local(self, policy, scorer, _):
                engine = Loaded(("policy", policy), ScriptedEngine(thinks, latency=held), 0, "plain")
                async with SharedScorer(ToyModel()) as shared:
                    yield engine, Loaded(("prm", scorer), shared, 0) if scorer else None

        worker = ChatWorker("w")
        worker.engines = InMemory()
        for turn in await worker._read(turns.turns_claim, worker="w", most=2):
            worker._begin(turn)
        notes = []
        while not any(re.match(r"Searching: \d+ of at most 4 steps", note) for note in notes):
            await asyncio.sleep(0.02)
            notes = await worker._read(lambda: list(Row.objects.filter(pk=tree.pk).values_list("note", flat=True)))
        row = await worker._read(Row.objects.get, pk=other.pk)
        assert (row.state, row.note, row.text) == (State.ANSWERING, "", "")
        hold.set()
        await asyncio.gather(*(task for _, task in worker._live.values()))
        await worker._redis.aclose()
        worker._database.shutdown()

    with redis_server(Path(settings.HOME) / "run"):
        asyncio.run(play())
    for message in (tree, other):
        message.refresh_from_db()
        assert (message.state, message.note) == (State.DONE, ""), message.error_message
