"""Yes or no, and maybe where the data set knows it."""

import re

from meds3core.text.answers import Found, claims, lower, plain, settle
from meds3core.types.question import OpenQuestion, Question, YesNoFormat

_WORDS = {"yes": "yes", "no": "no", "maybe": "maybe", "true": "yes", "false": "no"}
_AT_START = re.compile(
    r"""[\s"'*_`$(\[{]*(?:\\?boxed\{)?[\s"'*_`$(\[{]*(?P<word>yes|no|maybe|true|false)
    (?P<end>["'*_`$)\]}]*(?:$|\n|[.,;:!?](?!\w)|\s[(\[-]
    |\s(?:because|since|as|for|but|and|or|given|based|rather|instead|not|due\sto|in\sthis|the\sevidence)\b|/))""",
    re.VERBOSE,
)
_OTHER = re.compile(
    r"[\"'*_`)\]}]*,?\s*(?:/|\bor\b|\band\b)\s*(?:possibly\s|perhaps\s|even\s)?[\"'*_(]*(yes|no|maybe)\b"
)
_AT_END = re.compile(r"(?:^|[.,;:!?\n\"'(*]\s*|\b(?:but|so|therefore|thus|think|that|and|or)\s)(?P<word>yes|no|maybe)$")
_FIRST_STOP = re.compile(r"[\"'*_`$)\]}]*(?:$|\n|[.,;:!](?!\w)|\s[(\[-]|\s(?:because|since|but)\b)")
_PREFIX = re.compile(r"\s*(?:(?:so|therefore|thus|hence)\s*,?\s*)?(?:(?:it\sis|it's)\s)?")


class YesNoVerifier:
    """Checks yes, no and maybe; the normal form is the lower-case word."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced word (see `Verifier`)."""
        answer = settle(claims(plain(text)), _claimed, _closing).answer
        return _known(answer, question)

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced word, else the word with which the response begins or that is its last line."""
        text = plain(text)
        stated = settle(claims(text), _claimed, _closing)
        if not stated.open:
            return _known(stated.answer, question)
        called = settle(claims(text, lenient=True), _claimed, _closing)
        if not called.open:
            return _known(called.answer, question)
        found = _opening(text)
        return None if found is None or found.answer in stated.denied else _known(found.answer, question)

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether the word is the gold's."""
        return answer.casefold() == question.gold.value


def _known(answer: str | None, question: OpenQuestion) -> str | None:
    form = question.answer_format
    if not isinstance(form, YesNoFormat):
        raise TypeError(f"a yes-no verifier was given a {form.kind} question")
    return None if answer == "maybe" and not form.maybe else answer


def _claimed(text: str) -> Found | None:
    low = lower(text[:300])
    if low.startswith("either "):
        return Found(None) if _claimed(text[7:]) else None
    match = _AT_START.match(low)
    if match is None or match["end"].strip("\"'*_`$)]}").startswith("?"):
        return None
    end = match.end("word")
    if match["end"] == "/" and not _OTHER.match(low, end):
        return None
    return Found(None if _OTHER.match(low, end) else _WORDS[match["word"]], end)


def _closing(text: str) -> Found | None:
    low = lower(text[-60:]).rstrip(" \n\"'*_`$)]}.,")
    match = _AT_END.search(low)
    if match is None:
        return None
    offered = re.search(r"\b(?:yes|no|maybe)[\"'*]*\s*(?:or|and|/)\s*[\"'*]*$", low[: match.start("word")])
    return Found(None if offered else match["word"])


def _opening(text: str) -> Found | None:
    text = text.strip()
    low = lower(text[:300])
    denied = re.match(r"not (yes|no|maybe)\b[\s,]*but\s", low)
    if denied:
        return _claimed(text[denied.end() :])
    prefix = _PREFIX.match(low)
    for start in (prefix.end() if prefix else 0, text.rfind("\n") + 1):
        match = _AT_START.match(lower(text[start : start + 300]))
        if match and _FIRST_STOP.match(lower(text[start : start + 300]), match.end("word")):
            return _claimed(text[start:])
    return None
