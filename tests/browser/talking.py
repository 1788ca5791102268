"""Models to talk with and what was said, for browser tests. Run in the second process: `studio.call(prm, team=…)`."""


def prm(*, team: str) -> None:
    """A reward model in the team's registry."""
    from tests.chatting import tiny_prm
    from webapp.accounts.models import Team

    tiny_prm(Team.objects.get(name=team))


def queue(*, team: str) -> None:
    """An open queue of steps."""
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.annotation.queues import QueueSettings, queue_create

    queue_create(actor=SYSTEM, team=Team.objects.get(name=team), settings=QueueSettings(name="Said in chats"))


def other_policy(*, team: str) -> None:
    """A second model to talk with."""
    from tests.chatting import rival
    from webapp.accounts.models import Team

    rival(Team.objects.get(name=team))


def elsewhere(*, team: str, url: str, allow: str, names: list[str]) -> None:
    """Remote engines of these names at one address that this instance may reach."""
    from django.test import override_settings

    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.endpoints.services import endpoint_create

    with override_settings(OUTBOUND_ALLOW=allow.split(",")):
        for name in names:
            endpoint_create(
                actor=SYSTEM, team=Team.objects.get(name=team), name=name, url=url, model="some-model", api="chat",
                context_length=200_000,
            )  # fmt: skip


def tree_said(*, conversation: str, text: str) -> str:
    """Let the newest answer come of a tree whose question and steps say this; gives the answer's id."""
    import json
    import zlib

    from tests.chatting import tree_kept
    from webapp.chat.models import Message, MessageTree, Role
    from webapp.chat.texts import said

    message = Message.objects.filter(conversation=conversation, role=Role.ASSISTANT).latest("id")
    kept = tree_kept(message)
    tree = json.loads(zlib.decompress(bytes(kept.arena)))
    tree["question"]["text"] = said(text)
    for node in tree["nodes"]:
        node["text"] = said(text)
    MessageTree.objects.filter(pk=kept.pk).update(arena=zlib.compress(json.dumps(tree).encode()))
    return str(message.pk)
