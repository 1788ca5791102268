"""Bodies of the OpenAI-compatible API: what we take of theirs, and one field of our own, `meds3`."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from meds3core.config.chat import Form, Way


class TextPart(BaseModel):
    """A part of a message that holds text; others are refused."""

    type: Literal["text"]
    text: str


class MessageIn(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text for part in self.content)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError("content is missing")
        return self


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class OwnOptions(BaseModel):
    """What the method offers beyond OpenAI's API."""

    model_config = ConfigDict(extra="forbid")

    way: Way = "fast"
    form: Form = "auto"
    candidates: int = Field(default=8, ge=1, le=64, description="Answers to choose from; not with fast")
    nodes: int = Field(default=16, ge=2, le=120, description="Steps of the tree at most; with tree-search")
    scorer: str = Field(default="", description="Id of a process reward model that scores the steps")
    reasoning: Literal["apart", "inline"] = Field(
        default="apart", description="apart: steps before the answer as `reasoning`; inline: everything as `content`"
    )


class CompletionIn(BaseModel):
    """A request for answers. Parameters that we do not know are taken and have no effect; those that would change the
    form of the answer are refused (`unsupported`).
    """

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1, max_length=500)
    messages: list[MessageIn] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, ge=1, le=16)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    max_tokens: int | None = Field(default=None, ge=1, le=32_768)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=32_768)
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    response_format: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    audio: Any = None
    modalities: Any = None
    meds3: OwnOptions = OwnOptions()

    @property
    def unsupported(self) -> str:
        """The first parameter that asks for an answer of a form that we do not have; empty: none does."""
        harmless = {
            "tool_choice": ("none", "auto"),
            "function_call": ("none", "auto"),
            "response_format": ({"type": "text"},),
            "modalities": (["text"],),
        }
        names = ("tools", "tool_choice", "functions", "function_call", "response_format", "logprobs", "top_logprobs",
                 "audio", "modalities")  # fmt: skip
        asked = ((name, getattr(self, name)) for name in names)
        return next((name for name, value in asked if value and value not in harmless.get(name, ())), "")

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that end an answer."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def config(self) -> dict[str, Any]:
        """A ChatConfig's values; what was not said is OpenAI's default."""
        limit = self.max_completion_tokens or self.max_tokens
        return {
            "way": self.meds3.way,
            "form": self.meds3.form,
            "n": self.meds3.candidates,
            "nodes": self.meds3.nodes,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "stop": self.stops,
            "seed": None if self.seed is None else self.seed % (1 << 63),
            **({"max_tokens": limit} if limit else {}),
        }
