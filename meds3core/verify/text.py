"""Free text: equality of normal forms, accepted wordings, and token F1 where the format allows it."""

import re
from collections import Counter

from meds3core.text.answers import Found, claims, lower, normalise, plain, sentence_end, settle
from meds3core.types.question import OpenQuestion, Question, TextFormat

_EXPLANATION = re.compile(
    r",?\s(?:because|since|due to the fact)\b|;\s|,\s(?:which|not|as|and not|rather than)\s|\snot\s"
)
_CHANGES_MEANING = frozenset(("no", "not", "without", "never", "non", "neither", "nor"))
_LONGEST_WHOLE = 200


class TextVerifier:
    """Checks wordings; the normal form is lower case without articles and punctuation."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced wording (see `Verifier`)."""
        return settle(claims(plain(text)), claimed_words, closing_words).answer

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced wording, else a response of one short line as a whole."""
        text = plain(text)
        for lenient in (False, True):
            settled = settle(claims(text, lenient=lenient), claimed_words, closing_words)
            if not settled.open:
                return settled.answer
        return whole_line(text)

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether the wording equals the gold or an alias, or shares enough tokens with one.

        Shared tokens never outweigh another number or a negation.
        """
        form = question.answer_format
        if not isinstance(form, TextFormat):
            raise TypeError(f"a text verifier was given a {form.kind} question")
        given = normalise(answer)
        for wording in (question.gold.value, *question.gold.aliases):
            gold = normalise(wording)
            if given == gold or (form.minimum_f1 < 1 and _close(given, gold, form.minimum_f1)):
                return True
        return False


def token_f1(given: str, gold: str) -> float:
    """Harmonic mean of the shares of common tokens, counted with repetition (SQuAD)."""
    left, right = Counter(given.split()), Counter(gold.split())
    common = (left & right).total()
    return 2 * common / (left.total() + right.total()) if common else 0.0


def _close(given: str, gold: str, minimum_f1: float) -> bool:
    left, right = given.split(), gold.split()
    telling = [
        sorted(token for token in tokens if token in _CHANGES_MEANING or any(sign.isdigit() for sign in token))
        for tokens in (left, right)
    ]
    return telling[0] == telling[1] and token_f1(given, gold) >= minimum_f1


def claimed_words(text: str) -> Found | None:
    """The words of an announced answer up to the end of the sentence or a trailing explanation."""
    end = sentence_end(text)
    explained = _EXPLANATION.search(text, 0, end)
    if explained and explained.start() > 0:
        end = explained.start()
    words = normalise(unwrap(text[:end]))
    return Found(words, end) if words else None


def closing_words(text: str) -> Found | None:
    """The words before "is the correct answer", from the start of their sentence."""
    start = 0
    while (end := sentence_end(text[start:])) < len(text) - start:
        start += end + 1
    words = normalise(text[start:])
    return Found(words) if words and words not in ("it", "this", "that", "what", "which") else None


def unwrap(text: str) -> str:
    """The text without a surrounding box, quotes or emphasis."""
    return text.replace("\\boxed{", "").strip(" \n\t\"'*_`$[]{}")


def whole_line(text: str) -> str | None:
    """The normal form of a response that is one short line; "Not Y but X" gives X."""
    line = text.strip()
    if not line or "\n" in line or len(line) > _LONGEST_WHOLE:
        return None
    if lower(line[:4]) == "not ":
        line = line.partition(" but ")[2]
    found = claimed_words(line)
    return found.answer if found else None
