"""An engine without a model: completions computed by a function or replayed from a recording.

It follows the protocol to the letter (stop strings, token limits, finish reasons, errors of single requests,
context overflow), is exactly deterministic, and can finish requests in a shuffled order to show that order of
arrival does not matter. `RecordingEngine` wraps a real engine and keeps what it said, for golden trees and
for benchmarks that send the same requests again. A token here is a word or a sign with the space before it.
"""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from meds3core.engines.base import (
    Completion,
    Delta,
    Engine,
    EngineInfo,
    FinishReason,
    Message,
    Prompt,
    Request,
    Sampling,
)
from meds3core.errors import ContextOverflow, EngineError, UserError

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_RECORDING_VERSION = 1


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """What the pretended model writes, before stop strings and limits are applied.

    With `closes = False` it would write on after `text`: where nothing else ends it, `length` does.
    """

    text: str
    closes: bool = True


Respond = Callable[[Request], str | ScriptedReply | Completion | Exception]
"""Writes the reply to a request, from the request alone. A `Completion` is given back as it stands."""

Likelihood = Callable[[Prompt, str], float]
"""Log-probability of one continuation after a prompt."""


def prompt_text(prompt: Prompt) -> str:
    """The prompt as plain text, as a model without a chat template sees it."""
    return "\n\n".join(message.content for message in prompt.messages) + "\n\n" + "".join(prompt.pieces)


def count_tokens(text: str) -> int:
    """Length of a text in this engine's tokens."""
    return len(_TOKEN.findall(text))


def request_key(request: Request) -> str:
    """Stable digest of all that decides a completion; for a greedy one neither seed nor `top_p` does."""
    sampling = request.sampling
    drawn = [sampling.temperature, sampling.top_p, sampling.seed] if sampling.temperature > 0 else []
    return _digest([_prompt_form(request.prompt), sampling.max_tokens, list(sampling.stop), drawn])


def likelihood_key(prompt: Prompt, continuation: str) -> str:
    """Stable digest of a likelihood that was asked for."""
    return _digest([_prompt_form(prompt), continuation])


class ScriptedEngine:
    """Answers from a function; see the module's head.

    `shuffle` draws, from this seed, for how many turns of the event loop each request waits; `latency` is
    awaited for each request. `requests` and `max_in_flight` count what was asked, likelihoods not included.
    """

    def __init__(
        self,
        respond: Respond,
        *,
        likelihood: Likelihood | None = None,
        context_length: int = 4096,
        latency: Callable[[Request], Awaitable[None]] | None = None,
        shuffle: int | None = None,
        info: EngineInfo | None = None,
    ) -> None:
        self.requests = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self._respond = respond
        self._likelihood = likelihood
        self._latency = latency
        self._order = None if shuffle is None else random.Random(shuffle)
        self._info = info or EngineInfo("scripted", "scripted", "", context_length, batch_invariant=True)
        self._closed = False

    @classmethod
    def replay(cls, recording: "Recording", *, shuffle: int | None = None) -> "ScriptedEngine":
        """An engine that says again what was recorded, and fails any request that was not."""

        def respond(request: Request) -> Completion | Exception:
            key = request_key(request)
            return recording.completions.get(key) or EngineError(f"The recording holds no completion {key}.")

        def likelihood(prompt: Prompt, continuation: str) -> float:
            key = likelihood_key(prompt, continuation)
            if key not in recording.likelihoods:
                raise EngineError(f"The recording holds no likelihood {key}.")
            return recording.likelihoods[key]

        return cls(respond, likelihood=likelihood, shuffle=shuffle, info=recording.info)

    @property
    def info(self) -> EngineInfo:
        """What this engine is; a replaying one says what was recorded."""
        return self._info

    async def generate(self, request: Request) -> Completion:
        """The reply to this request, cut by its stop strings and limits."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await self._wait(request)
            return self._complete(request)
        finally:
            self.in_flight -= 1

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The same, token by token."""
        completion = await self.generate(request)
        for number, token in enumerate(_TOKEN.findall(completion.text), 1):
            yield Delta(token, generated_tokens=number, prompt_tokens=completion.prompt_tokens)
            await asyncio.sleep(0)
        yield Delta("", completion)

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """What the given function says."""
        self._refuse_if_closed()
        if self._likelihood is None:
            raise EngineError("This scripted engine was given no likelihoods.")
        await asyncio.sleep(0)
        return [self._likelihood(prompt, continuation) for continuation in continuations]

    async def close(self) -> None:
        """Refuse requests from now on, those in flight included."""
        self._closed = True

    async def _wait(self, request: Request) -> None:
        self._refuse_if_closed()
        if self._latency is not None:
            await self._latency(request)
        turns = 1 if self._order is None else self._order.randint(1, 16)
        for _ in range(turns):
            await asyncio.sleep(0)
        self._refuse_if_closed()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineError("The engine is closed.")

    def _complete(self, request: Request) -> Completion:
        prompt_tokens = count_tokens(prompt_text(request.prompt))
        room = self._info.context_length - prompt_tokens
        reply = self._respond(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        if room < 1:
            raise ContextOverflow(
                f"The prompt has {prompt_tokens} tokens; the context holds {self._info.context_length}."
            )
        if isinstance(reply, str):
            reply = ScriptedReply(reply)
        return _cut(reply, request.sampling, room, prompt_tokens)


@dataclass
class Recording:
    """Completions and likelihoods by their keys; a JSON file."""

    info: EngineInfo
    completions: dict[str, Completion] = field(default_factory=dict)
    likelihoods: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write sorted by key, so that equal recordings are equal files."""
        document = {
            "format": "meds3-recording",
            "version": _RECORDING_VERSION,
            "info": asdict(self.info),
            "completions": {key: asdict(self.completions[key]) for key in sorted(self.completions)},
            "likelihoods": {key: self.likelihoods[key] for key in sorted(self.likelihoods)},
        }
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read what `save` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != "meds3-recording" or document.get("version") != _RECORDING_VERSION:
            raise UserError(f"{path} is not a recording of version {_RECORDING_VERSION}.")
        completions: Mapping[str, dict[str, object]] = document["completions"]
        return cls(
            info=EngineInfo(**document["info"]),
            completions={key: Completion(**value) for key, value in completions.items()},  # type: ignore[arg-type]
            likelihoods=document["likelihoods"],
        )


class RecordingEngine:
    """Passes everything on to another engine; keeps what it said in `recording`, the requests in `asked`."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.recording = Recording(inner.info)
        self.asked: list[Request] = []

    @property
    def info(self) -> EngineInfo:
        """What the inner engine is."""
        return self.inner.info

    async def generate(self, request: Request) -> Completion:
        """The inner engine's completion, kept."""
        self.asked.append(request)
        completion = await self.inner.generate(request)
        self.recording.completions[request_key(request)] = completion
        return completion

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The inner engine's stream; its completion is kept."""
        self.asked.append(request)
        async for delta in self.inner.stream(request):
            if delta.completion is not None:
                self.recording.completions[request_key(request)] = delta.completion
            yield delta

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """The inner engine's likelihoods, kept."""
        values = await self.inner.loglikelihood(prompt, continuations)
        for continuation, value in zip(continuations, values, strict=True):
            self.recording.likelihoods[likelihood_key(prompt, continuation)] = value
        return values

    async def close(self) -> None:
        """Close the inner engine; the recording stays."""
        await self.inner.close()


def _cut(reply: ScriptedReply, sampling: Sampling, room: int, prompt_tokens: int) -> Completion:
    """What is left of a reply that stops where a model's would; closing the turn costs one token too."""
    limit = min(sampling.max_tokens, room)
    tokens = _TOKEN.findall(reply.text)
    text = "".join(tokens[:limit])
    finish: FinishReason = "end" if reply.closes and len(tokens) < limit else "length"
    used = len(tokens) + 1 if finish == "end" else min(len(tokens), limit)
    found = [(at, len(stop)) for stop in sampling.stop if stop and (at := text.find(stop)) >= 0]
    if found:
        at, length = min(found)
        finish, used = "stop", 0
        written = 0
        while written < at + length:
            written += len(tokens[used])
            used += 1
        text = text[:at]
    return Completion(text, finish, generated_tokens=used, prompt_tokens=prompt_tokens)


def _prompt_form(prompt: Prompt) -> list[object]:
    turns: list[Message] = list(prompt.messages)
    return [[[turn.role, turn.content] for turn in turns], "".join(prompt.pieces)]


def _digest(form: object) -> str:
    text = json.dumps(form, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
