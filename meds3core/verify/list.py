"""Answers that are several items: a set, or a ranked list judged by its first k."""

import re

from meds3core.text.answers import Found, claims, normalise, plain, settle
from meds3core.types.question import ListFormat, OpenQuestion, Question
from meds3core.verify.text import unwrap

_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_AND = re.compile(r"(?:^|\s)(?:and|&)\s", re.IGNORECASE)
_JOIN = "; "


class ListVerifier:
    """Checks lists; the normal form joins the items' normal forms by "; ", sorted unless ranked."""

    def stated_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced list (see `Verifier`)."""
        return self._settle(text, question, lenient=False)

    def extract_answer(self, text: str, question: OpenQuestion) -> str | None:
        """The last announced list, else the whole response if it is one line or only list lines."""
        stated = self._settle(text, question, lenient=False)
        if stated is not None:
            return stated
        lines = [line for line in plain(text).strip().split("\n") if line.strip()]
        if len(lines) == 1 or (lines and all(_BULLET.match(line) for line in lines)):
            return _normal_form("\n".join(lines), _format(question))
        return None

    def is_right(self, answer: str, question: Question) -> bool:
        """hit@k where the format asks for it, else equality of the sets.

        An alias stands for any gold item, so a set with aliases must name as many items as the gold, all accepted.
        """
        form = _format(question)
        given = [normalise(item) for item in answer.split(_JOIN)]
        gold = {normalise(item) for item in question.gold.items}
        accepted = gold | {normalise(alias) for alias in question.gold.aliases}
        if form.hit_at is not None:
            return any(item in accepted for item in given[: form.hit_at])
        if form.ranked and not question.gold.aliases:
            return given == [normalise(item) for item in question.gold.items]
        return set(given) <= accepted and len(set(given)) == len(gold)

    def _settle(self, text: str, question: OpenQuestion, *, lenient: bool) -> str | None:
        form = _format(question)

        def claimed(words: str) -> Found | None:
            answer = _normal_form(_block(words), form)
            return Found(answer, len(words)) if answer else None

        def closing(words: str) -> Found | None:
            answer = _normal_form(words.rpartition("\n")[2].rpartition(". ")[2], form)
            return Found(answer) if answer else None

        return settle(claims(plain(text), lenient=lenient), claimed, closing).answer


def _format(question: OpenQuestion) -> ListFormat:
    if not isinstance(question.answer_format, ListFormat):
        raise TypeError(f"a list verifier was given a {question.answer_format.kind} question")
    return question.answer_format


def _block(text: str) -> str:
    """The first line, or the list lines that follow."""
    lines = text.lstrip().split("\n")
    taken = [lines[0]]
    for line in lines[1:]:
        if not _BULLET.match(line):
            break
        taken.append(line)
    return "\n".join(taken) if len(taken) > 1 or _BULLET.match(lines[0]) else re.split(r"\.\s", lines[0])[0]


def _normal_form(text: str, form: ListFormat) -> str | None:
    items: list[str] = []
    for item in _items(text):
        words = normalise(unwrap(item))
        if words and words not in items:
            items.append(words)
    if not form.ranked and form.hit_at is None:
        items.sort()
    return _JOIN.join(items) or None


def _items(text: str) -> list[str]:
    lines = [_BULLET.sub("", line) for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        return lines
    line = lines[0].rstrip(". ") if lines else ""
    parts = line.split(";") if ";" in line else re.split(r",(?!\d)", line)
    last = _AND.split(parts[-1])
    return [part.strip() for part in (*parts[:-1], *last)]
