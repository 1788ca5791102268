"""What people do with conversations. Asking leaves a turn for the chat worker and rings; nothing is answered here."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from pydantic import ValidationError

from meds3core.config.chat import LONGEST_TEXT, ChatConfig
from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team, User
from webapp.chat.lengths import refuse_too_long
from webapp.chat.models import (
    COMMENT_LENGTH,
    OPEN,
    TITLE_LENGTH,
    Conversation,
    Message,
    Rating,
    Role,
    State,
)
from webapp.chat.selectors import newest_leaf, path_of, policies_of, scorers_of
from webapp.chat.streams import forget_on_commit, ring_on_commit, stream_key
from webapp.chat.texts import said, titled
from webapp.common.models import new_id
from webapp.datasets.search import folded
from webapp.registry.models import Endpoint, ModelKind, ModelVersion

MOST_OPEN = 128
"""Turns of one team that may wait or be answered at once."""
BRANCH_TEMPERATURE = 0.7
"""Of a branch where the settings say 0."""


class ChatError(UserError):
    """A turn cannot be asked for like this; the message says why."""

    code = "chat"


class TooManyTurns(ChatError):
    """As many answers as the team may wait for are to come."""

    code = "chat-full"


def conversation_create(
    *,
    actor: Actor,
    team: Team,
    policy: ModelVersion | None = None,
    endpoint: Endpoint | None = None,
    scorer: ModelVersion | None = None,
    config: ChatConfig | None = None,
    title: str = "",
    door: Conversation.Door = Conversation.Door.PAGE,
) -> Conversation:
    """A conversation without a word yet. Raises `ChatError` for models that cannot do what is wanted."""
    config = config or ChatConfig()
    _check(team, policy, endpoint, scorer, config)
    made = Conversation.objects.create(
        team=team,
        owner=actor.user,
        door=door,
        title=titled(said(title), TITLE_LENGTH - 2),
        touched=Now(),
        policy=policy,
        endpoint=endpoint,
        scorer=scorer,
        config=config.model_dump(mode="json"),
    )
    made.refresh_from_db()
    return made


@transaction.atomic
def conversation_set(
    *,
    conversation: Conversation,
    policy: ModelVersion | None,
    endpoint: Endpoint | None,
    scorer: ModelVersion | None,
    config: ChatConfig,
) -> None:
    """Another model, another way to answer, from the next turn on. Raises `ChatError`."""
    _check(conversation.team, policy, endpoint, scorer, config)
    columns = {"policy": policy, "endpoint": endpoint, "scorer": scorer, "config": config.model_dump(mode="json")}
    Conversation.objects.filter(pk=conversation.pk).update(**columns)


def conversation_rename(*, conversation: Conversation, title: str) -> None:
    """Another title; an empty one is made of the first question."""
    text = said(title).strip()
    if not text:
        first = Message.objects.filter(conversation=conversation, role=Role.USER).order_by("id").first()
        text = first.text if first else ""
    Conversation.objects.filter(pk=conversation.pk).update(title=titled(text, TITLE_LENGTH - 2))


@transaction.atomic
def conversation_share(*, actor: Actor, conversation: Conversation, shared: bool) -> None:
    """Let the team read it, or no longer."""
    if Conversation.objects.filter(pk=conversation.pk).exclude(shared=shared).update(shared=shared):
        verb = "chat.shared" if shared else "chat.unshared"
        audit_write(actor=actor, verb=verb, team=conversation.team, conversation=str(conversation.pk))


@transaction.atomic
def conversation_delete(*, actor: Actor, conversation: Conversation) -> None:
    """Forget it with all that was said. What is being answered is stopped: its row is gone."""
    audit_write(actor=actor, verb="chat.deleted", team=conversation.team, conversation=str(conversation.pk))
    conversation_erase(conversation)
    ring_on_commit()


def conversation_erase(conversation: Conversation) -> None:
    """Its rows and streams, within the caller's transaction."""
    told = Message.objects.filter(conversation=conversation, attempt__gt=0).values_list("pk", "attempt")
    forget_on_commit([stream_key(pk, attempt) for pk, last in told for attempt in range(1, last + 1)])
    Conversation.objects.filter(pk=conversation.pk).update(leaf=None)
    Message.objects.filter(conversation=conversation).update(parent=None)
    Conversation.objects.filter(pk=conversation.pk).delete()


def turn_ask(*, conversation: Conversation, text: str, parent: Message | None = None) -> Message:
    """Say something below `parent` (none: at the beginning) and have it answered; gives the answer to come.

    Raises `ChatError` for an empty text, one that is too long, and too many turns at once; `ContextOverflow` for a
    conversation that the model cannot read.
    """
    text = turn_check(conversation=conversation, text=text, parent=parent)
    with transaction.atomic():
        return turn_put(conversation=conversation, text=text, parent=parent)


def turn_check(*, conversation: Conversation, text: str, parent: Message | None) -> str:
    """The text as it is kept. Raises what `turn_ask` raises. Tokens are counted here, before any lock is taken."""
    text = said(text)
    if not text.strip():
        raise ChatError("Write something first.")
    if len(text) > LONGEST_TEXT:
        raise ChatError(f"A message may have {LONGEST_TEXT:,} characters; this one has {len(text):,}.")
    if parent is not None and parent.state in OPEN:
        raise ChatError("The model is still answering. Wait for its answer or stop it.")
    if conversation.policy is not None:
        before = [each.text for each in path_of(message=parent)] if parent is not None else []
        system = str(conversation.config.get("system", ""))
        refuse_too_long(policy=conversation.policy, texts=[system, *before, text])
    return text


@transaction.atomic
def turn_put(*, conversation: Conversation, text: str, parent: Message | None) -> Message:
    """Ask what `turn_check` has let through. Raises `ChatError` for too many turns at once."""
    _refuse_too_many(conversation.team_id, 1)
    question = Message.objects.create(
        conversation=conversation, parent=parent, role=Role.USER, text=text, folded=folded(text)
    )
    if not conversation.title:
        Conversation.objects.filter(pk=conversation.pk).update(title=titled(text))
    return _answer(conversation, question)


@transaction.atomic
def turn_again(*, conversation: Conversation, message: Message) -> Message:
    """Another answer to what this message answers; both are kept. Raises `ChatError`."""
    if message.role != Role.ASSISTANT or message.parent is None:
        raise ChatError("Only an answer can be given again.")
    _refuse_too_many(conversation.team_id, 1)
    return _answer(conversation, message.parent)


def turn_branch(*, conversation: Conversation, message: Message, step: int) -> Message:
    """Another way on from before a step of an answer: the steps above it stay, it and what follows are drawn anew.

    At a temperature of 0 the same would be said again: such a turn is drawn at `BRANCH_TEMPERATURE`. Raises `ChatError`
    and `ContextOverflow`.
    """
    _refuse_unfinished(message)
    if not 1 <= step < len(message.steps):
        raise ChatError("There is no such step in this answer.")
    given = message.text[: int(message.steps[step][0] or 0)]
    if conversation.config.get("way") == "tree-search":  # a tree has its own branches, from the question on
        conversation.config = {**conversation.config, "way": "fast"}
    if conversation.config.get("temperature") == 0:
        conversation.config = {**conversation.config, "temperature": BRANCH_TEMPERATURE}  # of this turn; not saved
    return _go_on(conversation, message, given)


def turn_continue(*, conversation: Conversation, message: Message) -> Message:
    """Go on where an answer was cut off or stopped. Raises `ChatError` and `ContextOverflow`."""
    _refuse_unfinished(message)
    if not can_continue(message):
        raise ChatError("This answer is complete. Ask a question to go on.")
    conversation.config = {**conversation.config, "way": "fast"}  # one text has one end
    return _go_on(conversation, message, message.text)


def can_continue(message: Message) -> bool:
    """Whether an answer ended before the model ended it."""
    return bool(message.text) and (message.state == State.STOPPED or message.finish == "length")


def _refuse_unfinished(message: Message) -> None:
    if message.role != Role.ASSISTANT or message.parent is None:
        raise ChatError("Only an answer can be gone on with.")
    if message.state in OPEN:
        raise ChatError("The model is still answering. Wait for its answer or stop it.")


def _go_on(conversation: Conversation, message: Message, given: str) -> Message:
    assert message.parent is not None
    if conversation.policy is not None:
        before = [each.text for each in path_of(message=message.parent)]
        system = str(conversation.config.get("system", ""))
        refuse_too_long(policy=conversation.policy, texts=[system, *before, given])
    with transaction.atomic():
        _refuse_too_many(conversation.team_id, 1)
        return _answer(conversation, message.parent, given=given)


@transaction.atomic
def turn_stop(*, message: Message) -> None:
    """Have an answer end where it is. One that nobody has begun is over at once."""
    mine = Message.objects.filter(pk=message.pk)
    if not mine.filter(state=State.QUEUED).update(state=State.STOPPED, ended=Now(), stop_asked=True):
        mine.filter(state=State.ANSWERING).update(stop_asked=True)
    ring_on_commit()


@transaction.atomic
def branch_choose(*, conversation: Conversation, message: Message) -> None:
    """Show the branch through this message, down to the newest reply."""
    Conversation.objects.filter(pk=conversation.pk).update(leaf=newest_leaf(message=message))


def turns_asked(*, conversation: Conversation, turns: Sequence[tuple[Role, str]], answers: int = 1) -> list[Message]:
    """A whole conversation at once, as programs send it, and so many answers to its end.

    Raises `ChatError` and `ContextOverflow`.
    """
    if sum(len(text) for _, text in turns) > 2 * LONGEST_TEXT:
        raise ChatError(f"A conversation may have {2 * LONGEST_TEXT:,} characters.")
    if conversation.policy is not None:
        refuse_too_long(policy=conversation.policy, texts=[text for _, text in turns])
    parent: Message | None = None
    rows = []
    for role, text in turns:
        parent = Message(pk=new_id(), conversation=conversation, parent=parent, role=role, text=said(text))
        rows.append(parent)
    assert parent is not None
    with transaction.atomic():
        _refuse_too_many(conversation.team_id, answers)
        Message.objects.bulk_create(rows)
        return [_answer(conversation, parent, number) for number in range(answers)]


def conversation_forget(*, conversation_id: Any) -> None:
    """What a program asked was answered, or it went away."""
    with transaction.atomic():
        row = Conversation.objects.filter(pk=conversation_id, door=Conversation.Door.API).first()
        if row is not None:
            conversation_erase(row)
            ring_on_commit()


def rating_set(*, user: User, message: Message, thumb: int, comment: str = "") -> None:
    """Say what one thinks of an answer; a thumb of 0 takes it back. Raises `ChatError`."""
    if message.role != Role.ASSISTANT or message.state in OPEN:
        raise ChatError("Only an answer that is there can be rated.")
    comment = said(comment).strip()
    if len(comment) > COMMENT_LENGTH:
        raise ChatError(f"The comment has {len(comment):,} characters; {COMMENT_LENGTH:,} are kept at most.")
    if not thumb:
        Rating.objects.filter(message=message, user=user).delete()
        return
    if thumb not in Rating.Thumb.values:
        raise ChatError("Say whether the answer is good or bad.")
    Rating.objects.update_or_create(message=message, user=user, defaults={"thumb": thumb, "comment": comment})


def _answer(conversation: Conversation, question: Message, number: int = 0, given: str = "") -> Message:
    """The turn that waits for the worker."""
    config = dict(conversation.config)
    seed = None if given else config.get("seed")  # another way on is to be another one
    # One that is begun anew after an accident says the same again, as far as engines can.
    config["seed"] = secrets.randbits(63) if seed is None else (int(seed) + number) % (1 << 63)
    name = conversation.policy or (conversation.endpoint.name if conversation.endpoint else "")
    if not name:
        raise ChatError("The model of this conversation was deleted. Choose another one.")
    answer = Message.objects.create(
        conversation=conversation,
        parent=question,
        role=Role.ASSISTANT,
        state=State.QUEUED,
        policy=conversation.policy,
        endpoint=conversation.endpoint,
        scorer=conversation.scorer,
        model_name=str(name),
        config=config,
        given=given,
    )
    Conversation.objects.filter(pk=conversation.pk).update(leaf=answer, touched=Now())
    ring_on_commit()
    return answer


def _refuse_too_many(team_id: Any, more: int) -> None:
    waiting = Message.objects.filter(conversation__team=team_id, state__in=OPEN).count()
    if waiting + more > MOST_OPEN:
        raise TooManyTurns(f"{waiting} answers of this team are still to come; {MOST_OPEN} may at once. Wait a little.")


def _check(
    team: Team,
    policy: ModelVersion | None,
    endpoint: Endpoint | None,
    scorer: ModelVersion | None,
    config: ChatConfig,
) -> None:
    if (policy is None) == (endpoint is None):
        raise ChatError("Choose a model to talk with.")
    if policy is not None and not policies_of(team=team).filter(pk=policy.pk).exists():
        raise ChatError("This model cannot be talked with. Choose a policy of your team.")
    if endpoint is not None and endpoint.team_id != team.pk:
        raise ChatError("This remote engine is not your team's.")
    if scorer is not None and not scorers_of(team=team).filter(pk=scorer.pk).exists():
        raise ChatError("Steps are scored by a process reward model of your team. Choose one.")
    if config.way in ("best-of-n", "tree-search") and (scorer is None or scorer.kind != ModelKind.PRM):
        raise ChatError("This way to answer chooses by a process reward model. Choose one, or another way to answer.")


def config_of(values: Mapping[str, Any]) -> ChatConfig:
    """Settings as a person or a program gives them. Raises `ChatError`, which names the first that is wrong."""
    try:
        return ChatConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ChatError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
