"""Answers on their way to an OpenAI client: whole, or as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from webapp.chat import services
from webapp.chat.following import News, follow
from webapp.chat.models import Message, State
from webapp.chat.openai_parts import Sides, divided
from webapp.common.databases import ask_database

FIRST_SECONDS = 20.0
"""So long a stream waits for its first words before it begins: until then an error has a status of its own."""
KEEP_ALIVE_SECONDS = 15.0
DONE = b"data: [DONE]\n\n"


class AnswerFailed(Exception):
    """An answer that did not come, in OpenAI's words."""

    def __init__(self, message: str, status: int, kind: str, code: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.code = status, kind, code

    @classmethod
    def of(cls, row: Message | None) -> "AnswerFailed":
        """Of a turn that failed."""
        if row is None or row.state == State.STOPPED:
            return cls("The answer was stopped.", 409, "invalid_request_error", "stopped")
        if row.error_code == "context-overflow":
            return cls(row.error_message, 400, "invalid_request_error", "context_length_exceeded")
        if row.error_code == "chat-broken":
            return cls(row.error_message, 503, "server_error", "engine_failed")
        return cls(row.error_message, 400, "invalid_request_error", row.error_code)

    @classmethod
    def begun_anew(cls) -> "AnswerFailed":
        """Of a stream whose beginning was told, and is not what the answer begins with now."""
        return cls("The answer was begun anew and differs. Ask again.", 503, "server_error", "begun_anew")

    @property
    def body(self) -> dict[str, Any]:
        """Within a stream."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": self.code}}


@dataclass(frozen=True)
class Shape:
    """What all parts of one answer say of it."""

    id: str
    created: int
    model: str
    apart: bool
    include_usage: bool

    def head(self, kind: str) -> dict[str, Any]:
        """The fields that every part begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


async def whole(answers: list[UUID], shape: Shape) -> dict[str, Any]:
    """When all answers are there. Raises `AnswerFailed`."""
    await asyncio.gather(*(_end(pk) for pk in answers))
    rows = [await _row(pk) for pk in answers]
    choices = []
    for index, row in enumerate(rows):
        if row is None or row.state != State.DONE:
            raise AnswerFailed.of(row)
        reasoning, content = divided(row.text, apart=shape.apart)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if reasoning:
            message |= {"reasoning": reasoning, "reasoning_content": reasoning}
        message["meds3"] = own_part(row)
        choices.append(
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason(row.finish)}
        )
    kept = [row for row in rows if row is not None]
    return {**shape.head("chat.completion"), "choices": choices, "usage": usage(kept)}


async def _end(pk: UUID) -> None:
    async for _ in follow(pk):
        pass


@ask_database
def _row(pk: UUID) -> Message | None:
    return Message.objects.filter(pk=pk).first()


def own_part(row: Message) -> dict[str, Any]:
    """What the method has to say of an answer beyond its text."""
    steps = [{"text": row.text[int(begin) : int(end)], "score": score} for begin, end, score in row.steps]
    own: dict[str, Any] = {"way": row.config.get("way"), "seed": row.config.get("seed"), "steps": steps}
    if row.candidates:
        own |= {"candidates": row.candidates, "chosen": row.chosen, "why": row.why}
    return own


def finish_reason(finish: str) -> str:
    """As OpenAI says it."""
    return "length" if finish == "length" else "stop"


def usage(rows: list[Message]) -> dict[str, int]:
    """Tokens: of the prompt once, of all answers."""
    prompt = max((row.prompt_tokens for row in rows), default=0)
    generated = sum(row.generated_tokens for row in rows)
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


@dataclass
class _Choice:
    """One answer on its way."""

    index: int
    message: UUID
    sides: Sides
    present: str = ""
    """The answer as far as it is written in this attempt."""
    taken: str = ""
    """What was taken of it so far, whichever attempt wrote it: told, or held back by `sides`."""
    row: Message | None = None
    scores: list[float | None] = field(default_factory=list)


class Stream:
    """The server-sent events of a request. The conversation is forgotten at its end, also when nobody listens."""

    def __init__(self, conversation: UUID, answers: list[UUID], shape: Shape) -> None:
        self._conversation = conversation
        self._shape = shape
        self._choices = [_Choice(at, pk, Sides(apart=shape.apart)) for at, pk in enumerate(answers)]

    async def first(self) -> None:
        """Wait until an answer has begun, for a while. Raises `AnswerFailed` when one has failed by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                async for news in follow(self._choices[0].message):
                    if news.text or news.is_over:
                        break
        row = await _row(self._choices[0].message)
        if row is None or row.state == State.FAILED:
            raise AnswerFailed.of(row)

    async def rest(self, _: None = None) -> AsyncIterator[bytes]:
        """Everything, to `[DONE]`."""
        parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        tasks = [asyncio.create_task(self._run(choice, parts)) for choice in self._choices]
        open_choices = len(tasks)
        try:
            for choice in self._choices:
                yield _line(self._part(choice, {"role": "assistant", "content": ""}))
            while open_choices:
                try:
                    part = await asyncio.wait_for(parts.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield b": waiting\n\n"
                    continue
                if part is None:
                    open_choices -= 1
                    continue
                yield _line(part)
                if "error" in part:
                    return
            if self._shape.include_usage:
                rows = [choice.row for choice in self._choices if choice.row is not None]
                yield _line({**self._shape.head("chat.completion.chunk"), "choices": [], "usage": usage(rows)})
            yield DONE
        finally:
            for task in tasks:
                task.cancel()
            # Whoever went away has no use for the rest: its turns end with the conversation.
            await asyncio.shield(_forget(self._conversation))

    async def _run(self, choice: _Choice, parts: "asyncio.Queue[dict[str, Any] | None]") -> None:
        try:
            async for news in follow(choice.message):
                for part in self._parts(choice, news):
                    parts.put_nowait(part)
            row = choice.row = await _row(choice.message)
            if row is None or row.state != State.DONE:
                raise AnswerFailed.of(row)
            if row.text != choice.taken:
                raise AnswerFailed.begun_anew()
            for piece in choice.sides.add_all():
                parts.put_nowait(self._text(choice, piece.side, piece.text))
            parts.put_nowait(self._part(choice, {"meds3": own_part(row)}, finish_reason(row.finish)))
            parts.put_nowait(None)
        except AnswerFailed as error:
            parts.put_nowait(error.body)
        except Exception as error:  # its words may quote what was said
            said = f"Something broke on our side ({type(error).__name__})."
            parts.put_nowait(AnswerFailed(said, 500, "server_error", "server_error").body)

    def _parts(self, choice: _Choice, news: News) -> list[dict[str, Any]]:
        choice.present = news.text if news.whole else choice.present + news.text
        added = ""
        # Begun anew after an accident, the same seed says the same again; what was told cannot be taken back.
        if not (choice.taken.startswith(choice.present) or choice.present.startswith(choice.taken)):
            raise AnswerFailed.begun_anew()
        if len(choice.present) > len(choice.taken):
            added = choice.present[len(choice.taken) :]
            choice.taken = choice.present
        found = [self._text(choice, piece.side, piece.text) for piece in choice.sides.add(added)]
        scores = [score for _, _, score in news.steps] if news.steps is not None else choice.scores
        if scores != choice.scores and any(score is not None for score in scores):
            choice.scores = scores
            found.append(self._part(choice, {"meds3": {"step_scores": scores}}))
        return found

    def _text(self, choice: _Choice, side: str, text: str) -> dict[str, Any]:
        both = {"reasoning": text, "reasoning_content": text}
        return self._part(choice, both if side == "reasoning" else {"content": text})

    def _part(self, choice: _Choice, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        one = {"index": choice.index, "delta": delta, "logprobs": None, "finish_reason": finish}
        part = {**self._shape.head("chat.completion.chunk"), "choices": [one]}
        return part | ({"usage": None} if self._shape.include_usage else {})


@ask_database
def _forget(conversation: UUID) -> None:
    services.conversation_forget(conversation_id=conversation)


def _line(part: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(part, ensure_ascii=False).encode() + b"\n\n"
