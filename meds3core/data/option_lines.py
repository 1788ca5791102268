"""Options that stand in a question's text as lines: "A. …", "(A) …", "A) …", "A: …", also over several lines."""

import re
from dataclasses import dataclass
from itertools import pairwise

from meds3core.types.question import Option

_LINE = re.compile(
    r"^[ \t]*(?:[-*•][ \t]+)?(?P<open>[(\[]?)\**(?P<letter>[A-Za-z])\**(?P<close>[.):\]])[ \t]*\**[ \t]*(?P<text>.*)$",
    re.M,
)
_INLINE = re.compile(r"(?:^|[\s,;])(?P<open>[(\[]?)(?P<letter>[A-Za-z])(?P<close>[.):\]])[ \t]+")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place where an option may begin."""

    letter: str
    style: tuple[str, str, bool]
    text_start: int
    line_start: int


def options_in(text: str) -> tuple[Option, ...]:
    """The last run of option lines A, B, C, … of one style; empty when there are fewer than two.

    A line between two options continues the first of them. The last option is taken to go on over several lines
    only if another one does. Letters are returned in upper case.
    """
    return _last_run(text, [_mark(match) for match in _LINE.finditer(text)]) or _inline(text)


def option_block_start(text: str) -> int | None:
    """Offset of the line with option A, or None."""
    marks = _chain([_mark(match) for match in _LINE.finditer(text)])
    return marks[0].line_start if marks else None


def option_lines(options: tuple[Option, ...]) -> str:
    """The options as the published files write them."""
    return "\n".join(f"{option.letter}. {option.text}" for option in options)


def _mark(match: re.Match[str]) -> _Mark:
    style = (match["open"], match["close"], match["letter"].isupper())
    return _Mark(match["letter"].upper(), style, match.end("close"), match.start())


def _chain(marks: list[_Mark]) -> list[_Mark]:
    """The last sequence A, B, C, … of one style."""
    for first in range(len(marks) - 1, -1, -1):
        if marks[first].letter != "A":
            continue
        chain = [marks[first]]
        for mark in marks[first + 1 :]:
            if mark.style == chain[0].style and ord(mark.letter) == ord(chain[-1].letter) + 1:
                chain.append(mark)
        if len(chain) > 1:
            return chain
    return []


def _last_run(text: str, marks: list[_Mark]) -> tuple[Option, ...]:
    chain = _chain(marks)
    if not chain:
        return ()
    pieces = [text[mark.text_start : after.line_start] for mark, after in pairwise(chain)]
    last = text[chain[-1].text_start :].lstrip(" \t*")
    several_lines = any("\n" in piece.strip() for piece in pieces)
    last = re.split(r"\n[ \t]*\n", last)[0] if several_lines else last.partition("\n")[0]
    return tuple(
        Option(letter=mark.letter, text=" ".join(piece.strip(" \t\n*").split()))
        for mark, piece in zip(chain, [*pieces, last], strict=True)
    )


def _inline(text: str) -> tuple[Option, ...]:
    """Options that stand side by side on the last line: "(A) yes (B) no"."""
    line = text.rstrip().rpartition("\n")[2]
    chain = _chain([_mark(match) for match in _INLINE.finditer(line)])
    if not chain:
        return ()
    ends = [mark.line_start for mark in chain[1:]] + [len(line)]
    return tuple(
        Option(letter=mark.letter, text=line[mark.text_start : end].strip(" \t,;"))
        for mark, end in zip(chain, ends, strict=True)
    )
