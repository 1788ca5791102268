"""What a search, an evaluation or a chat may ask of a language model.

An engine is a batcher: every call is one request, callers run as many as they like at once, and the engine
batches whatever is waiting. Same request, same seed: same text, alone or in company (transformers and vLLM: up to
the rare token that batch-dependent rounding flips). Cancelling the awaiting task frees the request's slot.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from meds3core.errors import ContextOverflow

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model continues: finished turns, and the beginning of its own turn cut into pieces.

    An engine renders `messages` with the model's chat template exactly once (generation prompt added; a model
    without a template gets the contents joined by blank lines), tokenises each piece by itself without special
    tokens, and concatenates the ids. Nothing is tokenised again as a whole, so the ids of a prefix never depend on
    what follows, and a child's prompt extends its parent's token by token (prefix caches hit).
    """

    messages: tuple[Message, ...]
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw one completion. `temperature = 0` is greedy and ignores the seed."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One completion wanted."""

    prompt: Prompt
    sampling: Sampling


FinishReason = Literal["end", "stop", "length"]
"""`end`: the model closed its turn; `stop`: a stop string appeared; `length`: the token limit cut it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote. `text` ends before the stop string and holds no special tokens."""

    text: str
    finish: FinishReason
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int = 0
    """Prompt tokens that were not computed anew (prefix cache, shared prefill)."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed completion; `completion` is set on the last one only and repeats the whole.

    The counts are those so far, for whoever breaks the stream off; 0 where the engine does not know them.
    """

    text: str
    completion: Completion | None = None
    generated_tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What this engine is, for provenance. `model_hash` is empty where a remote server does not tell."""

    kind: str
    model: str
    model_hash: str
    context_length: int
    batch_invariant: bool = False
    """Whether a completion is exactly the same alone and in company."""

    def room(self, prompt_tokens: int) -> int:
        """Tokens that a completion may have after such a prompt. Raises `ContextOverflow` when there is none."""
        room = self.context_length - prompt_tokens
        if room < 1:
            raise ContextOverflow(f"The prompt has {prompt_tokens} tokens; the context holds {self.context_length}.")
        return room


class Engine(Protocol):
    """A language model that many callers share.

    Raises, for the one request concerned: `ContextOverflow` when the prompt leaves no room for a single token,
    `EngineError` when it failed. A `max_tokens` beyond the rest of the context is cut to it; what is then cut off
    finishes with `length`.
    """

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""

    async def generate(self, request: Request) -> Completion:
        """One sampled completion."""

    def stream(self, request: Request) -> AsyncIterator[Delta]:
        """The same completion bit by bit; text that might be the start of a stop string is held back."""

    async def loglikelihood(self, prompt: Prompt, continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of each continuation after the prompt, summed over all its tokens.

        Each continuation is tokenised by itself like a piece.
        """

    async def close(self) -> None:
        """Give back memory and threads; pending requests fail with `EngineError`."""
