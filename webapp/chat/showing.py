"""Messages as the page and the exports show them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from webapp.accounts.models import User
from webapp.chat.markdown import rendered
from webapp.chat.models import OPEN, Conversation, Message, Rating, Role
from webapp.chat.openai_parts import ANNOUNCEMENT
from webapp.chat.selectors import Turn, branch_of, ratings_of, with_trees
from webapp.chat.services import can_continue

WEAK = 0.5


@dataclass(frozen=True)
class ShownStep:
    """A step of an answer."""

    number: int
    name: str
    html: SafeString
    score: float | None
    is_answer: bool
    is_weakest: bool

    @property
    def tone(self) -> str:
        """Of its badge."""
        assert self.score is not None
        return "green" if self.score >= 0.75 else "yellow" if self.score >= WEAK else "red"


@dataclass(frozen=True)
class ShownCandidate:
    """One of the answers that were chosen from."""

    number: int
    text: str
    answer: str | None
    score: float | None
    is_chosen: bool


@dataclass(frozen=True)
class Shown:
    """A message of the branch."""

    turn: Turn
    html: SafeString
    """Of what has no steps."""
    steps: list[ShownStep]
    candidates: list[ShownCandidate]
    ratings: list[Rating]
    """What people think of it, the person who reads first."""
    mine: Rating | None
    """What the person who reads thinks of it."""
    has_tree: bool = False

    @property
    def message(self) -> Message:
        """The row."""
        return self.turn.message

    @property
    def is_open(self) -> bool:
        """Whether it is still to come."""
        return self.message.state in OPEN

    @property
    def branching(self) -> list[ShownStep]:
        """The steps before which another way on can begin; the weakest, or else the last, is offered first."""
        steps = self.steps[1:]
        return sorted(steps, key=lambda step: (not step.is_weakest, -step.number))

    @property
    def weakest(self) -> ShownStep | None:
        """The step with the least score, where steps have scores."""
        return next((step for step in self.steps if step.is_weakest), None)

    @property
    def can_continue(self) -> bool:
        """Whether it ended before the model ended it."""
        return not self.is_open and self.message.role == Role.ASSISTANT and can_continue(self.message)

    @property
    def kept_steps(self) -> int:
        """Of an answer that goes on from another one: how many whole steps it took over."""
        given = self.message.given
        return sum(int(end or 0) <= len(given) for _, end, _ in self.message.steps) if given else 0

    @property
    def is_question(self) -> bool:
        """Whether a person said it."""
        return self.message.role == Role.USER


def shown(turn: Turn, ratings: Sequence[Rating] = (), reader: User | None = None, *, has_tree: bool = False) -> Shown:
    """One message."""
    row = turn.message
    steps = _steps(row) if row.state not in OPEN else []
    answer = row.role == Role.ASSISTANT and row.state not in OPEN and not steps
    candidates = [
        ShownCandidate(at + 1, each["text"], each.get("answer"), each.get("score"), at == row.chosen)
        for at, each in enumerate(row.candidates)
        if "text" in each
    ]
    mine = next((each for each in ratings if reader is not None and each.user_id == reader.pk), None)
    html = rendered(row.text) if answer else SafeString("")
    return Shown(turn, html, steps, candidates, list(ratings), mine, has_tree)


def _steps(row: Message) -> list[ShownStep]:
    weakest = min((score for _, _, score in row.steps[1:] if score is not None), default=None)
    found = []
    for at, (begin, end, score) in enumerate(row.steps):
        text = row.text[int(begin) : int(end)]
        name, mark, body = text.partition(":")
        found.append(
            ShownStep(
                number=at,
                name=name if mark else f"Step {at}",
                html=rendered(body.strip() if mark else text),
                score=score,
                is_answer=ANNOUNCEMENT in text and at == len(row.steps) - 1,
                is_weakest=at > 0 and score is not None and score == weakest and len(row.steps) > 2,
            )
        )
    return found


def thread_of(conversation: Conversation, reader: User | None = None) -> list[Shown]:
    """The branch that is shown."""
    turns = branch_of(conversation=conversation)
    ids = [turn.message.pk for turn in turns]
    ratings, trees = ratings_of(messages=ids), with_trees(messages=ids)
    return [shown(turn, ratings.get(turn.message.pk, ()), reader, has_tree=turn.message.pk in trees) for turn in turns]


# --- exports -------------------------------------------------------------------------------------------------------


def as_markdown(conversation: Conversation) -> str:
    """The branch that is shown, for people. Texts stand as they were written."""
    lines = [f"# {conversation}", ""]
    for turn in branch_of(conversation=conversation):
        row = turn.message
        who = "Question" if row.role == Role.USER else f"Answer ({row.model_name})"
        lines += [f"## {who}", "", row.text, ""]
        scores = [f"{score:.2f}" if score is not None else "–" for _, _, score in row.steps]
        if any(score != "–" for score in scores):
            lines += [f"Step scores: {', '.join(scores)}", ""]
    return "\n".join(lines)


def as_json(conversation: Conversation) -> str:
    """All of it, every branch, for programs."""
    rows = list(Message.objects.filter(conversation=conversation).order_by("id"))
    ratings = ratings_of(messages=[row.pk for row in rows])
    return json.dumps(
        {
            "format": "meds3-conversation",
            "version": 1,
            "id": str(conversation.pk),
            "title": conversation.title,
            "leaf": str(conversation.leaf_id) if conversation.leaf_id else None,
            "messages": [_row(row, ratings.get(row.pk, [])) for row in rows],
        },
        ensure_ascii=False,
        indent=1,
    )


def _row(row: Message, ratings: Sequence[Rating]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": str(row.pk),
        "parent": str(row.parent_id) if row.parent_id else None,
        "role": row.role,
        "text": row.text,
        "created": row.created.isoformat(),
    }
    if row.role == Role.ASSISTANT:
        said |= {
            "state": row.state,
            "model": row.model_name,
            "config": row.config,
            "steps": row.steps,
            "candidates": row.candidates,
            "chosen": row.chosen,
            "finish": row.finish,
            "prompt_tokens": row.prompt_tokens,
            "generated_tokens": row.generated_tokens,
            "begins_with": len(row.given),
            "ratings": [{"by": str(each.user), "thumb": each.thumb, "comment": each.comment} for each in ratings],
        }
    return said
