"""Sentences with slots that can be written and read back: one text serves the generator and the checker.

A slot is `{name}` (a number), `{name:a|b}` (one of these wordings) or `{name:*}` (words without digits or
punctuation other than hyphens). Numbers are `Decimal`s and keep the digits they were written with.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

Value = Decimal | str
Values = Mapping[str, Value]

_SLOT = re.compile(r"\{(?P<name>[a-z_0-9]+)(?::(?P<words>[^}]*))?\}")
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_WORDS = r"[^\W\d_](?:[^\W\d_]|[ -](?=[^\W\d_]))*"


@dataclass(frozen=True)
class Template:
    """A sentence with slots. `slots` lists their names in the order in which they are written."""

    text: str
    slots: tuple[str, ...] = field(init=False)
    words: Mapping[str, tuple[str, ...]] = field(init=False)
    """The wordings that a slot admits; absent for numbers and free words."""
    numbers: frozenset[str] = field(init=False)
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        slots, words, numbers, parts, end = [], {}, set(), [], 0
        for match in _SLOT.finditer(self.text):
            parts.append(re.escape(self.text[end : match.start()]))
            name, choices = match["name"], match["words"]
            slots.append(name)
            if choices is None:
                numbers.add(name)
                parts.append(f"(?P<{name}>{_NUMBER})")
            elif choices == "*":
                parts.append(f"(?P<{name}>{_WORDS})")
            else:
                words[name] = tuple(choices.split("|"))
                longest_first = sorted(words[name], key=len, reverse=True)
                parts.append(f"(?P<{name}>{'|'.join(map(re.escape, longest_first))})")
            end = match.end()
        parts.append(re.escape(self.text[end:]))
        object.__setattr__(self, "slots", tuple(slots))
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "numbers", frozenset(numbers))
        object.__setattr__(self, "pattern", re.compile("".join(parts), re.IGNORECASE))

    def write(self, values: Values) -> str:
        """The sentence with its slots filled; a number keeps its own digits (2.50 stays 2.50)."""
        return _SLOT.sub(lambda match: str(values[match["name"]]), self.text)

    def read(self, text: str) -> dict[str, Value] | None:
        """The values of the slots, in their order, if the whole text is this sentence; else None."""
        match = self.pattern.fullmatch(text)
        return None if match is None else self._values(match)

    def read_start(self, text: str) -> tuple[dict[str, Value], str] | None:
        """Like `read`, for a text that only begins with this sentence; also gives what follows it."""
        match = self.pattern.match(text)
        return None if match is None else (self._values(match), text[match.end() :])

    def _values(self, match: re.Match[str]) -> dict[str, Value]:
        return {name: Decimal(match[name]) if name in self.numbers else match[name].lower() for name in self.slots}


def tenth(value: Decimal) -> Decimal:
    """Rounded half up to one decimal, which is always written."""
    return value.quantize(Decimal("0.1"), rounding="ROUND_HALF_UP")


def plain(value: Decimal) -> Decimal:
    """Rounded half up to at most one decimal, without a closing zero."""
    rounded = tenth(value)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded


def number(values: Values, name: str) -> Decimal:
    """The value of a number slot."""
    value = values[name]
    if not isinstance(value, Decimal):
        raise TypeError(f"{name} is not a number")
    return value
