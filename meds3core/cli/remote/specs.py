"""What `meds3 jobs submit` is given becomes a specification: a file, or a kind and its settings."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from meds3core.config.references import RegisteredKind
from meds3core.errors import ConfigError


def spec_of(words: Sequence[str]) -> dict[str, Any]:
    """The specification as plain JSON; the server checks it. Raises `ConfigError`.

    Either one file of JSON (`-`: standard input), or a kind and `name=value`: values are JSON, bare words are strings,
    `dataset:<id>` is a reference, `outer.inner=value` sets a nested field.
    """
    first, *others = words
    if first == "-" or first.endswith(".json"):
        if others:
            raise ConfigError("A file is the whole specification: give no settings beside it.")
        return _read(first)
    spec: dict[str, Any] = {"kind": first}
    for word in others:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ConfigError(f"{word!r}: write name=value, or name a file that ends in .json.")
        *outer, last = name.split(".")
        target = spec
        for part in outer:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{name}: {part} has a value of its own already.")
        target[last] = _value(value)
    return spec


def _read(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError:
        raise ConfigError(f"{name} cannot be read.") from None
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON: {getattr(error, 'msg', 'not text')}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        raise ConfigError(f'{name} is no specification of a job: an object with a "kind" and its settings.')
    return found


def _value(text: str) -> Any:
    kind, sign, thing = text.partition(":")
    if sign and kind in get_args(RegisteredKind):
        try:
            return {"kind": kind, "id": str(UUID(thing))}
        except ValueError:
            raise ConfigError(f"{text}: a reference is {kind}: and the id of the {kind}.") from None
    try:
        return json.loads(text)
    except ValueError:
        return text
