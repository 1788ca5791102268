"""From `--set name=value` options to the one schema."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from meds3core.errors import ConfigError
from meds3core.types.record import Record

Settings = TypeVar("Settings", bound=Record)


def with_changes(settings: Settings, changes: Sequence[str]) -> Settings:
    """A validated copy with `name=value` changes; values are JSON, bare words are strings.

    `outer.inner=value` changes a field of a nested record. Raises `ConfigError` for a name that does not exist,
    pydantic's `ValidationError` for a value that does not fit.
    """
    data = settings.model_dump(mode="json")
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise ConfigError(f"--set {change!r}: write name=value")
        *outer, last = name.strip().split(".")
        target: Any = data
        for key in outer:
            target = target.get(key) if isinstance(target, dict) else None
        if not isinstance(target, dict) or last not in target:
            known = ", ".join(sorted(data))
            raise ConfigError(f"--set {name}: no such setting; there are {known}")
        target[last] = _value(value.strip())
    return type(settings).model_validate(data)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
