"""Changed questions, to see what a policy's answers hang on. Pure functions from a question to a question.

A transform gives None where it does not apply. All but `missing_fact` leave the gold right, moved where the options
moved. The id stays, so that results are paired; the content hash changes, so that nothing else mistakes them for the
originals.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from random import Random

from meds3core.config.evaluation import TransformName
from meds3core.data.option_lines import option_block_start
from meds3core.evaluation.key_facts import drop_clinic_fact
from meds3core.sandbox.questions import SOURCE as CLINIC
from meds3core.types.question import ChoiceFormat, Gold, Option, Question

Transform = Callable[[Question, int], Question | None]
"""From a question and a seed to the changed question."""

OTHER_LETTERS = "PQRSTUVWXYZ"
"""Not next to A, B, C in any style of option; no I or O, which are also words and digits."""

DISTRACTORS = (
    "The room was painted 14 months ago.",
    "The bed stands beside the window on floor 3.",
    "A visitor of 61 years is waiting outside.",
    "The appointment was moved by 2 days.",
    "The form was signed at 10 o'clock.",
)
"""Of no consequence for any medical question, each with a number that invites to be used."""

_OPTION_LINE = re.compile(
    r"(?P<before>[ \t]*(?:[-*•][ \t]+)?[(\[]?\**)(?P<letter>[A-Za-z]{1,2})(?P<between>\**[.):\]][ \t]*\**[ \t]*)"
    r"(?P<text>.*?)(?P<after>\**[ \t]*)"
)
_REFERS_TO_OTHERS = re.compile(
    r"\b(?:all|none|neither|both|any|either) of (?:the|these|them)\b|\bthe (?:above|below|former|latter)\b"
    r"|\b(?:both|neither|either|options?|answers?) [(]?[A-H][)]?(?:\b|$)"
    r"|^[(]?[A-H][)]?(?:,? ?(?:and|or|&|\+|,) ?[(]?[A-H][)]?)+$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.?!])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?<!\bDr\.)\s+(?=[\"'(A-Z0-9])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def shuffled_options(question: Question, seed: int = 0) -> Question | None:
    """The option texts in another order, under the same letters; the gold always gets another letter.

    None for other formats, for options that speak of each other ("all of the above"), and where the text's option
    lines cannot be told apart line by line.
    """
    form = question.answer_format
    if not isinstance(form, ChoiceFormat) or any(_REFERS_TO_OTHERS.search(option.text) for option in form.options):
        return None
    count = len(form.options)
    gold = [option.letter for option in form.options].index(question.gold.value)
    order = list(range(count))
    rng = Random(f"shuffle {seed} {question.content_hash}")
    while order[gold] == gold:  # order[i]: which text stands at place i now
        rng.shuffle(order)
    options = tuple(
        Option(letter=form.options[place].letter, text=form.options[old].text) for place, old in enumerate(order)
    )
    return _with_options(question, options, form.options[order.index(gold)].letter)


def renamed_letters(question: Question, seed: int = 0) -> Question | None:
    """The same options in the same order under the letters P, Q, R, …; None as for `shuffled_options`."""
    form = question.answer_format
    if not isinstance(form, ChoiceFormat) or len(form.options) > len(OTHER_LETTERS):
        return None
    if any(_REFERS_TO_OTHERS.search(option.text) for option in form.options):
        return None
    options = tuple(
        Option(letter=letter, text=option.text) for letter, option in zip(OTHER_LETTERS, form.options, strict=False)
    )
    gold = [option.letter for option in form.options].index(question.gold.value)
    return _with_options(question, options, options[gold].letter)


def distractor(question: Question, seed: int = 0) -> Question | None:
    """A sentence of no consequence before the last sentence of the question (its asking), or at its beginning."""
    rng = Random(f"distractor {seed} {question.content_hash}")
    sentence = rng.choice(DISTRACTORS)
    stem, rest = _stem(question)
    ends = list(_SENTENCE_END.finditer(stem))
    at = ends[-1].end() if ends else 0
    return _with_text(question, f"{stem[:at]}{sentence} {stem[at:]}{rest}")


def missing_fact(question: Question, seed: int = 0) -> Question | None:
    """The question without something its answer hangs on: the right answer can now only be guessed.

    Clinic: one given value that changes the answer is blanked out (`key_facts`). Other data: the sentence with the
    most numbers, or the longest where none has any, is left out; never the last one, which asks. The gold stays the
    original's: what is measured is how often it is still given. None where there is no such sentence.
    """
    if question.source == CLINIC:
        text = drop_clinic_fact(question, seed)
        return None if text is None else _with_text(question, text)
    stem, rest = _stem(question)
    pieces = _sentences(stem)
    if len(pieces) < 2:
        return None
    ranks = [(len(_NUMBER.findall(piece)), len(piece)) for piece in pieces[:-1]]
    gone = ranks.index(max(ranks))
    return _with_text(question, "".join(piece for place, piece in enumerate(pieces) if place != gone) + rest)


TRANSFORMS: dict[TransformName, Transform] = {
    "shuffled-options": shuffled_options,
    "renamed-letters": renamed_letters,
    "distractor": distractor,
    "missing-fact": missing_fact,
}


def _stem(question: Question) -> tuple[str, str]:
    """The text before the option lines, and from them on."""
    start = option_block_start(question.text) if isinstance(question.answer_format, ChoiceFormat) else None
    return (question.text, "") if start is None else (question.text[:start], question.text[start:])


def _sentences(stem: str) -> list[str]:
    """The sentences, each with the white space after it; joined they are the stem."""
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(stem)), len(stem)]
    return [stem[start:end] for start, end in pairwise(cuts) if end > start]


def _with_text(question: Question, text: str) -> Question:
    return Question(**{**_fields(question), "text": text})


def _with_options(question: Question, options: tuple[Option, ...], gold: str) -> Question | None:
    """The question with these options in its format and, line by line, in its text."""
    stem, block = _stem(question)
    lines = block.split("\n")
    old = question.answer_format.options if isinstance(question.answer_format, ChoiceFormat) else ()
    if len(lines) < len(old):
        return None
    for place, (before, after) in enumerate(zip(old, options, strict=True)):
        match = _OPTION_LINE.fullmatch(lines[place])
        if match is None or match["letter"].upper() != before.letter.upper():
            return None
        if " ".join(match["text"].split()) != " ".join(before.text.split()):
            return None
        letter = after.letter.lower() if match["letter"].islower() else after.letter
        lines[place] = f"{match['before']}{letter}{match['between']}{after.text}{match['after']}"
    fields = _fields(question) | {
        "text": stem + "\n".join(lines),
        "answer_format": ChoiceFormat(options=options),
        "gold": Gold(value=gold, aliases=question.gold.aliases),
    }
    return Question(**fields)


def _fields(question: Question) -> dict[str, object]:
    # Not model_copy: it would carry the cached content hash of the original over.
    return {name: getattr(question, name) for name in Question.model_fields}
