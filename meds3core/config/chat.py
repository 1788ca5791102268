"""How a chat turn is answered: the way, the form of the answer, how it is drawn."""

from typing import Literal

from pydantic import Field

from meds3core.types.record import Record

Way = Literal["fast", "self-consistency", "best-of-n", "tree-search"]
Form = Literal["auto", "steps", "free"]

LONGEST_TEXT = 100_000
"""Characters of one message."""


class ChatConfig(Record):
    """Of one turn. A temperature of 0 with `fast` is greedy decoding. With `tree-search` moves must differ: there
    0 draws at 0.7.
    """

    way: Way = Field(
        default="fast",
        description="fast: one answer; self-consistency: the answer that most of n agree on; best-of-n: the one of n "
        "that a process reward model scores highest; tree-search: a tree of steps that this model guides",
    )
    form: Form = Field(
        default="auto",
        description="steps: the reasoning in numbered steps, as the method writes it; free: as the model likes; "
        "auto: steps where the model was trained to write them",
    )
    system: str = Field(default="", max_length=20_000, description="What the model is told before the conversation")
    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    max_tokens: int = Field(default=1024, ge=1, le=32_768, description="Tokens of an answer at most")
    n: int = Field(default=8, ge=1, le=64, description="Answers to choose from; not with fast")
    nodes: int = Field(default=16, ge=2, le=120, description="Steps of the tree at most; with tree-search")
    stop: tuple[str, ...] = Field(default=(), max_length=4, description="Strings that end an answer")
    seed: int | None = Field(default=None, ge=0, lt=1 << 63, description="None: another answer every time")
