"""Where a completion ends and how much of it may be shown: stop strings and text of growing token lists.

Shared by the engines that see tokens themselves. Nothing here knows a model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_WINDOW = 62
"""Characters of a stop string that the bit masks look at; longer ones are judged by their last 62."""


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the earliest stop string begins, if one occurs."""
    found = [position for stop in stops if (position := text.find(stop)) >= 0]
    return min(found, default=None)


def shown_length(text: str, stops: Sequence[str]) -> int:
    """How much of an unfinished text may be shown: neither a possible start of a stop string nor half a character."""
    end = len(text)
    while end and text[end - 1] == _UNKNOWN:
        end -= 1
    for stop in stops:
        for length in range(min(len(stop) - 1, end), 0, -1):
            if text.endswith(stop[:length], 0, end):
                end -= length
                break
    return end


def token_texts(tokenizer: Any, vocabulary: int) -> list[str]:
    """What each token adds to a text in the middle of it; "" for special tokens, U+FFFD for a part of a character."""
    anchor = tokenizer.encode("a", add_special_tokens=False)[:1]
    known = min(len(tokenizer), vocabulary)
    texts: list[str] = tokenizer.batch_decode(
        [[*anchor, token] for token in range(known)], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    skip = len(tokenizer.decode(anchor, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return [text[skip:] for text in texts] + [""] * (vocabulary - known)


class StopIndex:
    """Tells from two neighbouring tokens, for many rows at once, whether a stop string may just have been completed.

    It never misses one and is rarely wrong, so that only a few rows need their text decoded. Per token and stop
    string it keeps two bit masks over the cuts of the string: at which cuts the token may supply all that follows
    (`closes`), and at which the text may stand after the token (`reaches`).
    """

    def __init__(self, texts: Sequence[str], stops: Sequence[str]) -> None:
        self._inside = np.array([any(stop in text for stop in stops) for text in texts], dtype=bool)
        self._masks: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
        # A token that holds part of a character may fit anywhere; one without text stands anywhere and adds nothing.
        partial = np.array([_UNKNOWN in text for text in texts], dtype=bool)
        vague = partial | np.array([text == "" for text in texts], dtype=bool)
        for stop in stops:
            tail = stop[-_WINDOW:]
            closes, reaches = np.zeros((2, len(texts)), dtype=np.uint64)
            for cut in range(1, len(tail)):
                before, after = tail[:cut], tail[cut:]
                within = {before[start:] for start in range(cut)}
                bit = np.uint64(1 << cut)
                closes |= bit * np.array([text.startswith(after) for text in texts], dtype=np.uint64)
                fits = [text.endswith(before) or text in within for text in texts]
                reaches |= bit * np.array(fits, dtype=np.uint64)
            closes[partial] = reaches[vague] = np.uint64(2**64 - 1)
            self._masks.append((closes, reaches))

    def may_complete(self, previous: NDArray[np.int64], token: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One answer a row; `previous` is -1 where `token` is the first of the text."""
        answer: NDArray[np.bool_] = self._inside[token]
        for closes, reaches in self._masks:
            answer = answer | ((closes[token] & reaches[previous]) != 0) & (previous >= 0)
        return answer
