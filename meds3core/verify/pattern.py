"""Answers that must match a regular expression as a whole, ignoring case.

Expressions come with data, so each is compiled when it is loaded and every match has a time limit.
"""

from functools import lru_cache

import regex  # type: ignore[import-untyped]

from meds3core.errors import UserError
from meds3core.text.answers import Found, claims, plain, sentence_end, settle
from meds3core.types.question import OpenQuestion, Question
from meds3core.verify.text import unwrap

TIME_LIMIT = 0.1
"""Seconds that one match may take."""

LONGEST_PATTERN = 2000


class PatternVerifier:
    """Checks against an expression; the normal form is the stated wording on one line."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced wording (see `Verifier`)."""
        return settle(claims(plain(text)), _claimed, _closing).answer

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced wording, else the whole response if it is one line."""
        stated = settle(claims(plain(text)), _claimed, _closing)
        if not stated.open:
            return stated.answer
        line = plain(text).strip()
        found = _claimed(line) if line and "\n" not in line else None
        return found.answer if found else None

    def is_right(self, answer: str, question: Question) -> bool:
        """Whether the expression matches the whole answer.

        Raises:
            UserError: the expression does not compile or needs too long.
        """
        pattern = compile_pattern(question.gold.value)
        try:
            return pattern.fullmatch(answer, timeout=TIME_LIMIT) is not None
        except TimeoutError:
            raise UserError(
                f"question {question.id}: its pattern needs more than {TIME_LIMIT} s on one answer; "
                "write it without nested repetition"
            ) from None


@lru_cache(maxsize=4096)
def compile_pattern(expression: str) -> "regex.Pattern[str]":
    """Compile a gold expression.

    Raises:
        UserError: it does not compile or is too long; the message does not repeat it.
    """
    if len(expression) > LONGEST_PATTERN:
        raise UserError(f"a gold pattern is longer than {LONGEST_PATTERN} characters")
    try:
        return regex.compile(expression, regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError, ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError("a gold pattern is no valid regular expression") from error


def _claimed(text: str) -> Found | None:
    end = sentence_end(text)
    words = " ".join(unwrap(text[:end]).split())
    return Found(words, end) if words else None


def _closing(text: str) -> Found | None:
    words = " ".join(text.rpartition("\n")[2].rpartition(". ")[2].split())
    return Found(words) if words else None
