"""What the benchmark of chat has the studio's second process do, which may use the ORM."""

import time

TOKENS = 160
"""Of an answer at most."""


def question(seed: int) -> str:
    """One of the clinic's, by number."""
    from meds3core.sandbox.questions import generate

    if not _QUESTIONS:
        _QUESTIONS.extend(each.text for each in generate("test", 200, seed=7))
    return _QUESTIONS[seed % len(_QUESTIONS)]


_QUESTIONS: list[str] = []


def reward_model(*, username: str) -> None:
    """A tiny one in the person's team."""
    from tests.chatting import tiny_prm
    from webapp.accounts.models import Membership

    tiny_prm(Membership.objects.select_related("team").get(user__username=username).team)


def conversation_make(*, username: str, seed: int, scored: bool = False, long: bool = False, free: bool = False) -> str:
    """An empty one with the bundled policy."""
    from meds3core.config.chat import ChatConfig
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import Membership
    from webapp.chat.services import conversation_create
    from webapp.registry.bundled import bundled_ensure
    from webapp.registry.models import ModelVersion

    member = Membership.objects.select_related("team", "user").get(user__username=username)
    scorer = ModelVersion.objects.filter(team=member.team, kind="prm").first() if scored else None
    form = "free" if long or free else "steps"
    config = ChatConfig(form=form, temperature=1.0, top_p=1.0, max_tokens=TOKENS, seed=seed)
    if long:  # one that takes seconds
        many = {"way": "self-consistency", "n": 64, "temperature": 2.0, "max_tokens": 1500}
        config = config.model_copy(update=many)
    made = conversation_create(
        actor=Actor(member.user), team=member.team, policy=bundled_ensure(), scorer=scorer, config=config
    )
    return str(made.pk)


def conversations_make(*, username: str, count: int, steps: bool = False) -> list[str]:
    """So many; `steps`: the same requests as those to the engine alone."""
    return [conversation_make(username=username, seed=seed, free=not steps) for seed in range(count)]


def all_ask(*, conversations: list[str]) -> None:
    """Ask in each, as fast as it goes: one transaction, one ring."""
    from django.db import transaction

    from webapp.chat import services
    from webapp.chat.models import Conversation

    services.MOST_OPEN = len(conversations) + 1
    with transaction.atomic():
        for seed, pk in enumerate(conversations):
            services.turn_ask(conversation=Conversation.objects.get(pk=pk), text=question(seed))


def answering(*, conversation: str) -> str:
    """The answer that is being written, as soon as it is; empty: it is over already."""
    from webapp.chat.models import Message

    for _ in range(2000):
        row = Message.objects.get(conversation=conversation, role="assistant")
        if row.state != "queued":
            return str(row.pk) if row.state == "answering" else ""
        time.sleep(0.005)
    return ""


def state_of(*, message: str) -> str:
    """Where it stands."""
    from webapp.chat.models import Message

    return str(Message.objects.values_list("state", flat=True).get(pk=message))


def texts_of(*, messages: list[str]) -> dict[str, str]:
    """As the rows have them."""
    from webapp.chat.models import Message

    return {str(pk): text for pk, text in Message.objects.filter(pk__in=messages).values_list("pk", "text")}


def tokens_of(*, messages: list[str]) -> int:
    """Written in all of them."""
    from webapp.chat.models import Message

    return sum(Message.objects.filter(pk__in=messages).values_list("generated_tokens", flat=True))
