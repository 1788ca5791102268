"""An answer's text as OpenAI's clients read it: the reasoning apart from the answer, each character in one of them."""

from dataclasses import dataclass
from typing import Literal

ANNOUNCEMENT = "The answer is"
"""How the method's last step begins to state its answer (METHOD: "The answer is X.")."""
NEXT = "\n\nStep "

Side = Literal["reasoning", "content"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text and where it belongs."""

    side: Side
    text: str


class Sides:
    """Divides a growing text. What might be the beginning of an announcement is held back until that is known."""

    def __init__(self, *, apart: bool) -> None:
        self._apart = apart
        self._side: Side = "content"
        self._rest = ""
        self._begun = False

    def add(self, text: str) -> list[Piece]:
        """What can be told now."""
        if not self._apart:
            return [Piece("content", text)] if text else []
        self._rest += text
        if not self._begun:
            if len(self._rest) < len("Step ") and "Step ".startswith(self._rest):
                return []
            self._begun = True
            if self._rest.startswith("Step "):
                self._side = "reasoning"
            else:
                self._apart = False  # written freely: no steps to be told from the answer
                return self.add_all()
        return self._divide(final=False)

    def add_all(self) -> list[Piece]:
        """All that was held back: the end has come, or there is nothing to divide."""
        if not self._apart or not self._begun:
            rest, self._rest = self._rest, ""
            return [Piece(self._side, rest)] if rest else []
        return self._divide(final=True)

    def _divide(self, *, final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while self._rest:
            mark = ANNOUNCEMENT if self._side == "reasoning" else NEXT
            at = self._rest.find(mark)
            if at >= 0:
                if at:
                    pieces.append(Piece(self._side, self._rest[:at]))
                self._rest = self._rest[at:]
                self._side = "content" if self._side == "reasoning" else "reasoning"
                # The mark itself is told with what follows it: it cannot be a mark of the other kind.
                pieces.append(Piece(self._side, mark))
                self._rest = self._rest[len(mark) :]
                continue
            held = 0 if final else _overlap(self._rest, mark)
            told = len(self._rest) - held
            if told:
                pieces.append(Piece(self._side, self._rest[:told]))
                self._rest = self._rest[told:]
            break
        return pieces


def _overlap(text: str, mark: str) -> int:
    """How much of the text's end may be the mark's beginning."""
    return next((size for size in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:size])), 0)


def divided(text: str, *, apart: bool) -> tuple[str, str]:
    """Reasoning and content of a whole answer."""
    sides = Sides(apart=apart)
    pieces = [*sides.add(text), *sides.add_all()]
    told = {side: "".join(piece.text for piece in pieces if piece.side == side) for side in ("reasoning", "content")}
    return told["reasoning"], told["content"]
