"""From what a file says about the answer to a format and a gold."""

import re

from meds3core.data.rows import FieldError
from meds3core.errors import UserError
from meds3core.text.answers import lower, normalise, plain
from meds3core.types.question import (
    AnswerFormat,
    ChoiceFormat,
    Gold,
    ListFormat,
    NumberFormat,
    Option,
    PatternFormat,
    TextFormat,
    YesNoFormat,
)
from meds3core.verify.pattern import compile_pattern
from meds3core.verify.quantity import single_quantity

MOST_OPTIONS = 26

_TURN = re.compile(r".*\bthe (?:correct )?answer is:?\s+(?P<answer>.+?)\s*\.?\s*$", re.IGNORECASE | re.DOTALL)
_LETTER = re.compile(
    r"[\s(\[\"'*]*(?:option\s+)?([A-Za-z])(?:[\s)\].:\"'*]+(?P<text>\S.*)?)?$", re.DOTALL | re.IGNORECASE
)
_SEVERAL = re.compile(r"\s*[A-Z](?:\s*(?:,|;|/|and|&|\s)\s*[A-Z])+\s*$|[A-Z]{2,8}$")


def answer_of_turn(turn: str) -> str:
    """The answer in a gold turn such as "The answer is B.": what follows the last announcement."""
    match = _TURN.match(turn)
    return match["answer"] if match else turn.strip().removesuffix(".")


def gold_letter(answer: str, options: tuple[Option, ...], field: str) -> str | None:
    """The letter that an answer means among the options; None when it means none and looks like no letter.

    Raises:
        FieldError: it is a letter without such an option, several letters, or the text of two options.
    """
    letters = {option.letter.upper(): option.letter for option in options}
    match = _LETTER.match(answer)
    letter = letters.get(match[1].upper()) if match else None
    if match and letter and match["text"] is None:
        return letter
    normal = normalise(answer)
    same = [option.letter for option in options if normalise(option.text) == normal]
    if match and letter and match["text"]:
        text = next(option.text for option in options if option.letter == letter)
        if normalise(match["text"]) == normalise(text) or lower(plain(text)).startswith(lower(plain(match["text"]))):
            return letter
    if len(same) == 1:
        return same[0]
    if len(same) > 1:
        raise FieldError(field, "the answer's text belongs to several options; give the letter")
    if match and match["text"] is None and match[1].isupper():
        known = ", ".join(letters) or "none"
        raise FieldError(field, f"the answer is a letter without such an option (options: {known})")
    if _SEVERAL.match(answer) and options and all(char in letters for char in re.findall("[A-Z]", answer)):
        raise FieldError(field, "the answer names several options; only one can be right")
    return None


def choice_format(options: tuple[Option, ...]) -> ChoiceFormat:
    """A choice among these options.

    Raises:
        FieldError: too few, too many, empty or with a letter twice.
    """
    if len(options) > MOST_OPTIONS:
        raise FieldError("options", f"{len(options)} options; at most {MOST_OPTIONS} can be read")
    if len(options) < 2:
        raise FieldError("options", "a choice needs at least two options")
    letters = [option.letter for option in options]
    if len(set(letters)) != len(letters):
        raise FieldError("options", "two options share a letter")
    empty = [option.letter for option in options if not option.text.strip()]
    if empty:
        raise FieldError("options", f"option {empty[0]} has no text")
    return ChoiceFormat(options=options)


def open_answer(answer: str, kind: str, unit: str | None, tolerance: float, field: str) -> tuple[AnswerFormat, Gold]:
    """Format and gold of a question without options; `kind` "auto" tells it from the answer's own form.

    Raises:
        FieldError: the answer does not fit the kind.
    """
    answer = answer.strip()
    word = answer.casefold().rstrip(".")
    if kind == "yes-no" or (kind == "auto" and word in ("yes", "no", "maybe")):
        if word not in ("yes", "no", "maybe"):
            raise FieldError(field, "the answer is none of yes, no, maybe")
        return YesNoFormat(maybe=True), Gold(value=word)
    quantity = single_quantity(answer, unit) if kind in ("number", "auto") else None
    if kind == "number" and quantity is None:
        raise FieldError(field, "the answer is no single number")
    if quantity is not None:
        own = unit or quantity.unit_text or None
        return NumberFormat(unit=own, relative_tolerance=tolerance), Gold(value=answer)
    if kind == "list":
        items = tuple(item.strip() for item in re.split(r"[;\n]" if re.search(r"[;\n]", answer) else ",", answer))
        items = tuple(item for item in items if normalise(item))
        if not items:
            raise FieldError(field, "the list of answers is empty")
        return ListFormat(), Gold(value="; ".join(items), items=items)
    if kind == "pattern":
        try:
            compile_pattern(answer)
        except UserError as error:
            raise FieldError(field, str(error)) from None
        return PatternFormat(), Gold(value=answer)
    if not normalise(answer):
        raise FieldError(field, "the answer holds no word and no number")
    return TextFormat(), Gold(value=answer)
