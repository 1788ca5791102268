"""Conversations for tests, and models to talk with."""

import shutil
import zlib

from meds3core.config.chat import ChatConfig
from meds3core.data.trees import tree_line
from meds3core.sandbox.questions import generate
from tests.trees import small_tree
from webapp.accounts.actors import Actor
from webapp.accounts.models import Membership, Team
from webapp.accounts.rules import Role
from webapp.chat.duels import Side, duel_create
from webapp.chat.models import Conversation, Duel, Message, MessageTree
from webapp.chat.services import conversation_create, turn_ask
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import model_folder

QUESTION = generate("test", 1, seed=5)[0].text


def owner_of(team: Team):
    """Who made the team."""
    return Membership.objects.select_related("user").filter(team=team, role=Role.OWNER).earliest("created").user


def conversation(team: Team, user=None, **more) -> Conversation:
    """One with the bundled policy, greedy and short unless told otherwise."""
    config = more.pop("config", None) or ChatConfig(temperature=0.0, max_tokens=200)
    return conversation_create(
        actor=Actor(user or owner_of(team)), team=team, policy=bundled_ensure(), config=config, **more
    )


def asked(team: Team, text: str = QUESTION, **more) -> Message:
    """A turn that waits for its answer."""
    return turn_ask(conversation=conversation(team, **more), text=text)


def tree_kept(message: Message) -> MessageTree:
    """A small tree that an answer came of."""
    question = generate("test", 1, seed=5)[0]
    arena = zlib.compress(tree_line(small_tree(question)).encode())
    return MessageTree.objects.get_or_create(message=message, defaults={"arena": arena})[0]


def rival(team: Team) -> ModelVersion:
    """The bundled policy once more, as a model of the team: somebody to be compared with."""
    number = ModelVersion.objects.filter(team=team, name="Rival").count() + 1
    base = bundled_ensure()
    row = ModelVersion.objects.create(
        team=team, name="Rival", number=number, kind="policy", ready=True, facts=base.facts, content_hash=f"r{number}"
    )
    shutil.copytree(model_folder(model_id=base.pk), model_folder(model_id=row.pk))
    return row


def duel(team: Team, **more) -> Duel:
    """The bundled policy against another one, greedy and short."""
    config = more.pop("config", None) or ChatConfig(temperature=0.0, max_tokens=200)
    first, second = Side(policy=bundled_ensure()), Side(policy=rival(team))
    return duel_create(actor=Actor(owner_of(team)), team=team, first=first, second=second, config=config, **more)


def tiny_prm(team: Team) -> ModelVersion:
    """A reward model with random weights, in the team's registry."""
    from tests.core.prm.tiny import write_prm  # torch

    number = ModelVersion.objects.filter(team=team, name="Tiny PRM").count() + 1
    row = ModelVersion.objects.create(team=team, name="Tiny PRM", number=number, kind="prm", ready=True)
    write_prm(model_folder(model_id=row.pk), max_position_embeddings=8192)
    return row
