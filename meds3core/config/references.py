"""How a specification names what it works on: by reference, never a place.

No path but on the command line (`LocalPath`), no URL, no secret. A remote engine is a registered endpoint; its key
reaches the worker by its environment.
"""

from collections.abc import Iterator
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from meds3core.config.engine import OpenAIEngineConfig, VllmEngineConfig
from meds3core.types.record import Record

RegisteredKind = Literal[
    "upload", "dataset", "model", "endpoint", "trees", "labels", "evaluation", "evolution", "queue"
]


class LocalPath(Record):
    """A file or folder of this machine. Only the command line takes it; web and API refuse it."""

    path: str = Field(min_length=1, max_length=4096)


class Registered(Record):
    """Something that the instance knows: checked against the team at submit and again at claim."""

    kind: RegisteredKind
    id: UUID


Reference = LocalPath | Registered


class Spec(Record):
    """What a job does: the base of every kind's specification."""

    @model_validator(mode="after")
    def _names_no_place(self) -> Self:
        for part in _parts(self):
            if isinstance(part, OpenAIEngineConfig):
                raise ValueError("a job's remote engine is a registered endpoint; a specification holds no URL")
            if isinstance(part, VllmEngineConfig) and part.adapter is not None:
                raise ValueError("a job's adapter belongs to its registered model; a specification holds no path")
        return self


def references(spec: Record) -> Iterator[Reference]:
    """Every reference in a specification, in the order of its fields."""
    return (part for part in _parts(spec) if isinstance(part, LocalPath | Registered))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Record):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _parts(one)
