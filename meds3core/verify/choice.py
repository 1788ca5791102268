"""Answers that are one letter out of several options. The text of an option is an alias of its letter."""

import re
from functools import lru_cache

from meds3core.text.answers import Claim, Found, claims, lower, plain, settle
from meds3core.types.question import ChoiceFormat, OpenQuestion, Option, Question
from meds3core.verify.options import OptionReader, prepare

_PREFIX = re.compile(
    r"""\s*(?:(?:so|therefore|thus|hence|ok(?:ay)?|sure),?\s+)?
    (?:(?:i\s(?:think|believe|would\ssay)|it\sis|it's|this\sis|that\sis|that's|final\sanswer|my\sanswer)[\s,:]+
    (?:(?:that\s)?it\sis\s|it's\s)?)?""",
    re.VERBOSE,
)
_ENUMERATION = re.compile(r"^[\s*_(\[]*([A-Za-z])[).:\]]\s", re.MULTILINE)
_CORRECTION = re.compile(r"\b(?:wait|actually|no,|correction|instead|on reflection|reconsider|rather|mistake|but)\b")


@lru_cache(maxsize=4096)
def _reader(options: tuple[Option, ...]) -> OptionReader:
    return OptionReader(prepare(options))


class ChoiceVerifier:
    """Checks letters; the normal form is the letter as the question prints it."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced letter (see `Verifier`)."""
        reader = self._reader(question)
        return settle(claims(plain(text)), reader.claimed, reader.closing).answer

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced letter, else what the response begins with, calls correct, chooses or ends with."""
        reader = self._reader(question)
        text = plain(text)
        stated = settle(claims(text), reader.claimed, reader.closing)
        if not stated.open:
            return stated.answer
        found = _opening(text, reader) or _called_correct(text, reader) or _last_line(text, reader)
        return None if found is None or found.answer in stated.denied else found.answer

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether the letter is the gold's."""
        return answer.casefold() == question.gold.value.casefold()

    def _reader(self, question: OpenQuestion) -> OptionReader:
        if not isinstance(question.answer_format, ChoiceFormat):
            raise TypeError(f"a choice verifier was given a {question.answer_format.kind} question")
        return _reader(question.answer_format.options)


def _opening(text: str, reader: OptionReader) -> Found | None:
    """The answer with which a whole response begins: "B", "(B) stop, because …", "Not A but B"."""
    text = text.strip()
    if _enumerates(text, reader):
        return None
    whole = reader.opened(text)
    if whole:
        return whole
    prefix = _PREFIX.match(lower(text[:200]))
    start = prefix.end() if prefix else 0
    if lower(text[start : start + 4]) == "not ":
        denial = Claim(0, text[start + 4 :], denied=True)
        settled = settle(iter((denial,)), reader.opened, reader.closing)
        return None if settled.open else Found(settled.answer)
    return reader.opened(text[start:])


def _enumerates(text: str, reader: OptionReader) -> bool:
    """Whether lines begin with different letters: a list of the options, not an answer."""
    letters = {mark.lower() for mark in _ENUMERATION.findall(text)}
    return len(letters & reader.options.letters.keys()) > 1


def _called_correct(text: str, reader: OptionReader) -> Found | None:
    """ "B is correct", "I choose B". Several different ones count only where a correction stands between them."""
    last: tuple[str, int] | None = None
    for claim in claims(text, lenient=True):
        settled = settle(iter((claim,)), reader.claimed, reader.closing)
        if settled.open:
            continue
        if settled.answer is None:
            return Found(None) if last is None else Found(last[0])
        if last is None:
            last = (settled.answer, claim.at)
        elif settled.answer != last[0]:
            corrected = _CORRECTION.search(lower(text[claim.at : last[1]]))
            return Found(last[0] if corrected else None)
    return Found(last[0]) if last else None


def _last_line(text: str, reader: OptionReader) -> Found | None:
    """The answer that stands alone on the last line."""
    line = text.rstrip().rpartition("\n")[2].strip()
    if not line or len(line) > 2 * reader.options.longest + 40 or _enumerates(text, reader):
        return None
    prefix = _PREFIX.match(lower(line))
    return reader.whole(line) or reader.whole(line[prefix.end() if prefix else 0 :])
