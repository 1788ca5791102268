"""What may be stored of what people and models write: any language, but neither characters that no database takes nor
those that only steer terminals.
"""

import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HALVES = re.compile("[\ud800-\udfff]")
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def said(text: str) -> str:
    """A person's text as it is kept: line ends of one kind, no control characters, no half characters."""
    return _HALVES.sub("\ufffd", _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def written(text: str) -> str:
    """A model's text as it is kept, of the same length: what cannot be kept is replaced, so that offsets stay valid."""
    return _HALVES.sub("\ufffd", _CONTROL.sub("\ufffd", text))


def titled(text: str, length: int = 80) -> str:
    """A title made of the beginning of a text: one line, nothing that turns the direction of what follows."""
    line = " ".join(_OVERRIDES.sub("", text).split())
    if len(line) <= length:
        return line
    cut = line[:length]
    return (cut.rpartition(" ")[0] or cut) + " …"
