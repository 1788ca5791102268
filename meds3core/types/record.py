"""The base of every record that is stored or sent: immutable, closed, validated."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen Pydantic model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
