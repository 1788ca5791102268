"""Reads of conversations. Everybody sees their own; those that somebody shared can be read by the team."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Func, IntegerField, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.http import Http404

from meds3core.types.tree import Tree as TreeRecord
from webapp.accounts.models import Team, User
from webapp.accounts.selectors import theirs
from webapp.chat.models import OPEN, ChatRetention, Conversation, Message, MessageTree, Rating, Role, State
from webapp.datasets.search import folded
from webapp.registry.models import Endpoint, ModelAlias, ModelKind, ModelVersion
from webapp.trees.services import arena_read

PORTION = 500
"""Ids in one question."""


def conversations_for(*, user: User, team: Team, words: str = "", shared: bool = False) -> QuerySet[Conversation]:
    """The person's own conversations, or those that others shared, the last touched first.

    With `words` those that have them in their title or in what was said, whatever the case in any script.
    """
    rows = Conversation.objects.filter(team=team, door=Conversation.Door.PAGE)
    rows = rows.filter(shared=True).exclude(owner=user) if shared else rows.filter(owner=user)
    if words:
        wanted = folded(words)
        titled = [pk for pk, title in rows.values_list("pk", "title") if wanted in folded(title)]
        found = Message.objects.filter(conversation__in=rows, folded__contains=wanted).values("conversation")
        rows = rows.filter(Q(pk__in=titled) | Q(pk__in=found))
    return rows.select_related("policy", "endpoint", "owner").order_by("-touched", "-pk")


def conversation_for(*, user: User, team: Team, conversation_id: UUID, own: bool = False) -> Conversation:
    """One that the person may read; with `own` one that they may go on with. Raises `Http404`."""
    rows = Conversation.objects.filter(team=team, pk=conversation_id, door=Conversation.Door.PAGE)
    rows = rows.filter(owner=user) if own else rows.filter(Q(owner=user) | Q(shared=True))
    found = rows.select_related("policy", "endpoint", "scorer", "owner", "team").first()
    if found is None:
        raise Http404("There is no such conversation, or it was not shared with you.")
    return found


def conversation_to_delete(*, user: User, team: Team, conversation_id: UUID, is_owner: bool) -> Conversation:
    """One's own; to an owner of the team (`is_owner`) also what somebody shared who has left. Raises `Http404`."""
    found = conversation_for(user=user, team=team, conversation_id=conversation_id)
    if not may_delete(user=user, conversation=found, is_owner=is_owner):
        raise Http404("Only who began this conversation can delete it.")
    return found


def may_delete(*, user: User, conversation: Conversation, is_owner: bool) -> bool:
    """Whether this reader may delete what they read."""
    return conversation.owner_id == user.pk or (is_owner and conversation.left is not None)


def message_of(*, conversation: Conversation, message_id: UUID) -> Message:
    """A message of the conversation. Raises `Http404`."""
    found = Message.objects.filter(conversation=conversation, pk=message_id).select_related("scorer").first()
    if found is None:
        raise Http404("There is no such message.")
    return found


@dataclass(frozen=True)
class Turn:
    """A message of the branch that is shown, with its alternatives: the other replies to the same message."""

    message: Message
    alternatives: tuple[UUID, ...]
    """All of them in the order they were made, itself included."""

    @property
    def place(self) -> int:
        """Which of the alternatives it is, from 1."""
        return self.alternatives.index(self.message.pk) + 1

    @property
    def before(self) -> UUID | None:
        """The alternative before it."""
        return self.alternatives[self.place - 2] if self.place > 1 else None

    @property
    def after(self) -> UUID | None:
        """The alternative after it."""
        return self.alternatives[self.place] if self.place < len(self.alternatives) else None


def branch_of(*, conversation: Conversation) -> list[Turn]:
    """The branch that ends at the conversation's leaf, from its first message."""
    parents = dict(Message.objects.filter(conversation=conversation).order_by("id").values_list("pk", "parent"))
    children: dict[UUID | None, list[UUID]] = {}
    for pk, parent in parents.items():
        children.setdefault(parent, []).append(pk)
    ids = _path(parents, conversation.leaf_id)
    rows = Message.objects.filter(pk__in=ids).select_related("scorer").in_bulk()
    return [Turn(rows[pk], tuple(children[parents[pk]])) for pk in ids if pk in rows]


def ratings_of(*, messages: Collection[UUID]) -> dict[UUID, list[Rating]]:
    """What people think of these messages, the newest word last."""
    found: dict[UUID, list[Rating]] = {}
    for row in Rating.objects.filter(message__in=messages).select_related("user").order_by("said"):
        found.setdefault(row.message_id, []).append(row)
    return found


def with_trees(*, messages: Collection[UUID]) -> set[UUID]:
    """Those of these answers that were chosen from a tree."""
    return set(MessageTree.objects.filter(message__in=messages).values_list("message", flat=True))


def tree_of_message(*, conversation: Conversation, message_id: UUID) -> MessageTree:
    """The tree that an answer was chosen from. Raises `Http404`."""
    rows = MessageTree.objects.filter(message=message_id, message__conversation=conversation)
    found = rows.select_related("message__scorer").first()
    if found is None:
        raise Http404("This answer comes of no tree.")
    return found


def tree_record(kept: MessageTree) -> TreeRecord:
    """What is kept, opened."""
    return TreeRecord.model_validate_json(arena_read(bytes(kept.arena)))


def tree_snapshot(record: TreeRecord) -> dict[str, list[dict[str, object]]]:
    """As tables of steps read it (`webapp.trees.growing_steps`)."""
    return {
        "nodes": [
            {
                "idx": node.id,
                "parent_idx": node.parent,
                "depth": node.depth,
                "move": node.move.value,
                "value": node.value,
                "visits": node.visits,
                "text": node.text,
                "answer": node.answer,
            }
            for node in record.nodes
        ]
    }


def path_of(*, message: Message) -> list[Message]:
    """The messages down to this one, from the first."""
    parents = dict(Message.objects.filter(conversation=message.conversation_id).values_list("pk", "parent"))
    ids = _path(parents, message.pk)
    rows = Message.objects.filter(pk__in=ids).in_bulk()
    return [rows[pk] for pk in ids if pk in rows]


def histories_of(*, messages: Sequence[Message]) -> dict[UUID, list[tuple[str, str]]]:
    """Role and text of what was said before each of these messages, from the first; two questions for all of them."""
    parents: dict[UUID, UUID | None] = dict(
        Message.objects.filter(conversation__in={each.conversation_id for each in messages}).values_list("pk", "parent")
    )
    paths = {each.pk: _path(parents, each.pk)[:-1] for each in messages}
    wanted = {pk for path in paths.values() for pk in path}
    said = {pk: (role, text) for pk, role, text in _in_portions(wanted)}
    return {of: [said[pk] for pk in path if pk in said] for of, path in paths.items()}


def _in_portions(wanted: Collection[UUID]) -> Iterator[tuple[UUID, str, str]]:
    ids = list(wanted)
    for at in range(0, len(ids), PORTION):
        yield from Message.objects.filter(pk__in=ids[at : at + PORTION]).values_list("pk", "role", "text")


def newest_leaf(*, message: Message) -> UUID:
    """The end of the branch below a message that follows the newest reply each time."""
    rows = Message.objects.filter(conversation=message.conversation_id).order_by("id").values_list("parent", "pk")
    newest: dict[UUID | None, UUID] = dict(rows)
    leaf = message.pk
    while leaf in newest:
        leaf = newest[leaf]
    return leaf


def _path(parents: dict[UUID, UUID | None], leaf: UUID | None) -> list[UUID]:
    path: list[UUID] = []
    while leaf is not None and leaf in parents:
        path.append(leaf)
        leaf = parents[leaf]
    return path[::-1]


@dataclass(frozen=True)
class Present:
    """The answers of a conversation that a page of it has to know of."""

    open: tuple[UUID, ...]
    """Those that are not there yet."""
    newest: UUID | None
    """The one that was asked for last, be it there or not."""


def present_in(*, conversations: Collection[UUID]) -> dict[UUID, Present]:
    """Of these conversations, in two queries."""
    answers = Message.objects.filter(conversation=OuterRef("pk"), role=Role.ASSISTANT).order_by("-pk")
    rows = Conversation.objects.filter(pk__in=conversations).annotate(newest=Subquery(answers.values("pk")[:1]))
    newest = dict(rows.values_list("pk", "newest"))
    unfinished: dict[UUID, list[UUID]] = {pk: [] for pk in newest}
    rows = Message.objects.filter(conversation__in=conversations, state__in=OPEN).order_by("pk")
    for conversation, pk in rows.values_list("conversation", "pk"):
        unfinished.setdefault(conversation, []).append(pk)
    return {pk: Present(tuple(mine), newest.get(pk)) for pk, mine in unfinished.items()}


@dataclass(frozen=True)
class Standing:
    """Where an answer stands."""

    state: str
    attempt: int
    seq: int
    text: str
    steps: list[list[float | None]]
    candidates: int
    """Answers to choose from that are there."""
    note: str

    @property
    def is_over(self) -> bool:
        """Whether nothing will be added any more."""
        return self.state not in OPEN


class _Length(Func):
    """How many entries a JSON array has: what they are stays where it is."""

    function = "JSONB_ARRAY_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """The same there."""
        return self.as_sql(compiler, connection, function="JSON_ARRAY_LENGTH", **more)


def standing_of(*, message_id: UUID) -> Standing | None:
    """How far an answer is, by its row; none when it was deleted."""
    columns = ("state", "attempt", "seq", "text", "steps", _Length("candidates"), "note")
    row = Message.objects.filter(pk=message_id).values_list(*columns).first()
    return Standing(*row) if row is not None else None


@dataclass(frozen=True)
class Glance:
    """What tells whether it is worth to read an answer's `Standing` again."""

    state: str
    attempt: int
    seq: int
    note: str
    ahead: int = 0
    """Turns that are to be answered before it."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will be added any more."""
        return self.state not in OPEN


def glances_at(*, messages: Collection[UUID]) -> dict[UUID, Glance]:
    """Of these answers, without those that were deleted: in one query, and one more where some wait in the queue."""
    rows = Message.objects.filter(pk__in=messages).values_list("pk", "state", "attempt", "seq", "note")
    found = {pk: Glance(*columns) for pk, *columns in rows}
    if any(each.state == State.QUEUED for each in found.values()):
        line = list(Message.objects.filter(state=State.QUEUED).order_by("pk").values_list("pk", flat=True))
        waiting = {pk: each for pk, each in found.items() if each.state == State.QUEUED}
        found |= {pk: replace(each, ahead=bisect_left(line, pk)) for pk, each in waiting.items()}
    return found


# --- what can be talked with ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A model, or a remote engine, that the team may talk with."""

    id: str
    """As the API names it: `team/name@alias`, `team/name@v2`, `team/name@remote`."""
    name: str
    policy: ModelVersion | None
    endpoint: Endpoint | None


def served_by(*, team: Team) -> list[Served]:
    """Everything that the team may talk with, newest models first; a model once for each of its names."""
    aliases = Prefetch("aliases", queryset=ModelAlias.objects.order_by("alias"))
    rows = ModelVersion.objects.filter(theirs(team), kind=ModelKind.POLICY, ready=True).defer("files", "provenance")
    found = []
    for row in rows.select_related("team").prefetch_related(aliases).order_by("-pk"):
        for word in (*(each.alias for each in row.aliases.all()), f"v{row.number}"):
            found.append(Served(f"{row.team.slug}/{row.name}@{word}", f"{row} ({word})", row, None))
    for endpoint in Endpoint.objects.filter(team=team).order_by("name"):
        found.append(Served(f"{team.slug}/{endpoint.name}@remote", f"{endpoint.name} (remote)", None, endpoint))
    return found


def served_named(*, team: Team, model: str) -> Served | None:
    """The one that a program names: by its id; without `@…` the newest version; or a model's own id."""
    offered = served_by(team=team)
    for each in offered:
        if model == each.id or (each.policy is not None and model == str(each.policy.pk)):
            return each
    return next((each for each in offered if each.id.rpartition("@")[0] == model), None)


def policies_of(*, team: Team) -> QuerySet[ModelVersion]:
    """The policies that the team may talk with, newest first."""
    rows = ModelVersion.objects.filter(theirs(team), kind=ModelKind.POLICY, ready=True)
    return rows.defer("files", "provenance").order_by("-pk")


def scorers_of(*, team: Team) -> QuerySet[ModelVersion]:
    """The process reward models that the team may let score, newest first."""
    rows = ModelVersion.objects.filter(theirs(team), kind=ModelKind.PRM, ready=True)
    return rows.defer("files", "provenance").order_by("-pk")


def retention_of(*, team: Team) -> int | None:
    """For how many days the team keeps conversations, by its own setting; none: it has none."""
    row = ChatRetention.objects.filter(team=team).first()
    return row.days if row else None
