"""What readers of judgements share: complaints that name a field and repeat nothing, questions by their text."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from meds3core.data.rows import FieldError
from meds3core.types.judgements import StepJudgement
from meds3core.types.question import OpenQuestion, TextFormat

LONGEST = 200_000
"""Characters of one text."""


def judgement_of(values: Mapping[str, Any], field: str) -> StepJudgement:
    """The judgement with these values. Raises `FieldError` at the field that is wrong."""
    try:
        return StepJudgement.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join([field, *map(str, problem["loc"])] if field else [*map(str, problem["loc"])])
        raise FieldError(place, problem["msg"].removeprefix("Value error, ")) from None


def text_of(value: Any, field: str) -> str:
    """A text that is not empty. Raises `FieldError`."""
    if not isinstance(value, str) or not value.strip():
        raise FieldError(field, "expected a text")
    if len(value) > LONGEST:
        raise FieldError(field, f"longer than {LONGEST:,} characters")
    if "\0" in value:
        raise FieldError(field, "holds a NUL character")
    return value


def question_named(text: str, identity: str, source: str) -> OpenQuestion:
    """A question of which only the text is known: its answer is free text."""
    return OpenQuestion(id=identity, text=text, answer_format=TextFormat(), source=source)
