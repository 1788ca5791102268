"""From one raw record of any known shape to a `Question`. Unknown extra keys are ignored; bad fields are named."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, ValidationError

from meds3core.data.gold import answer_of_turn, choice_format, gold_letter, open_answer
from meds3core.data.option_lines import option_lines, options_in
from meds3core.data.rows import FieldError
from meds3core.errors import UserError
from meds3core.types.question import AnswerFormat, Gold, Option, PatternFormat, Question
from meds3core.types.record import Record
from meds3core.verify.pattern import compile_pattern

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CONTEXT = re.compile(
    r"^\W{0,4}(?:context|contexts|abstract|passage|document|article|note|report|text ?2|premise|evidence|sentence)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_NUL = "\\u0000"
_SOURCE_KEYS = ("source", "dataset", "original_dataset")
_DOMAIN_KEYS = ("domain", "subject_name", "subject", "category", "type")


class ColumnMapping(Record):
    """Which columns of a file mean what. A name with dots reaches into nested objects: "eval.answer"."""

    question: str
    answer: str
    id: str | None = None
    context: str | None = Field(default=None, description="Column whose text is put before the question")
    options: str | tuple[str, ...] | None = Field(
        default=None, description="One column with a list or an object of options, or one column for each option"
    )
    answer_kind: Literal["auto", "choice", "number", "yes-no", "text", "list", "pattern"] = "auto"
    first_index: Literal[0, 1] = Field(default=0, description="Number of the first option where answers are numbers")
    unit: str | None = None
    relative_tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    source: str | None = None
    domain: str | None = None


def question_from(record: object, row: int, stem: str, mapping: ColumnMapping | None) -> Question:
    """The question that a record holds.

    Raises:
        FieldError: the first thing that is wrong with it.
    """
    question = _question_from(record, row, stem, mapping)
    if _NUL in question.model_dump_json() and _has_nul(question.model_dump()):
        raise FieldError("", "holds a NUL character, which is no text")
    return question


def _question_from(record: object, row: int, stem: str, mapping: ColumnMapping | None) -> Question:
    if not isinstance(record, dict):
        raise FieldError("", f"expected an object, found {_kind(record)}")
    try:
        if mapping is not None:
            return _mapped(record, row, stem, mapping)
        if "answer_format" in record and "gold" in record:
            return _own(record)
        if "conversations" in record:
            return _published(record, row, stem)
        if "opa" in record and "cop" in record:
            return _mapped(record, row, stem, _MEDMCQA)
        if "question" in record:
            return _plain_record(record, row, stem)
    except ValidationError as error:
        issue = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise FieldError(".".join(map(str, issue["loc"])), _without_content(str(issue["msg"]))) from None
    except (UnicodeEncodeError, UnicodeDecodeError):
        raise FieldError("", "holds half of a surrogate pair, which is no text") from None
    except RecursionError:
        raise FieldError("", "nested too deeply") from None
    raise FieldError("", "no known shape of a question; name the columns with a mapping")


_MEDMCQA = ColumnMapping(
    question="question", answer="cop", id="id", options=("opa", "opb", "opc", "opd"), answer_kind="choice",
    domain="subject_name",
)  # fmt: skip


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_has_nul(one) for one in value)
    return isinstance(value, str) and "\0" in value


def _without_content(message: str) -> str:
    """A validation message without the values that it quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", message)


def _own(record: Mapping[str, object]) -> Question:
    known = {key: value for key, value in record.items() if key in Question.model_fields}
    question = Question.model_validate(known)
    question.model_dump_json()
    if isinstance(question.answer_format, PatternFormat):
        try:
            compile_pattern(question.gold.value)
        except UserError as error:
            raise FieldError("gold.value", str(error)) from None
    return question


def _published(record: Mapping[str, object], row: int, stem: str) -> Question:
    """The published record: turns of a human and perhaps of "gpt", with options inside the text."""
    turns = record["conversations"]
    if not isinstance(turns, list) or not turns:
        raise FieldError("conversations", f"expected a list of turns, found {_kind(turns)}")
    text = gold_turn = None
    for index, turn in enumerate(turns):
        field = f"conversations[{index}]"
        if not isinstance(turn, dict):
            raise FieldError(field, f"expected an object, found {_kind(turn)}")
        speaker = turn.get("from", turn.get("role"))
        value = _text(turn.get("value", turn.get("content")), f"{field}.value")
        if speaker in ("human", "user") and text is None:
            text = value
        elif speaker in ("gpt", "assistant"):
            gold_turn = value
        elif speaker not in ("human", "user", "system"):
            raise FieldError(f"{field}.from", "expected human or gpt")
    if text is None or not text.strip():
        raise FieldError("conversations", "no turn of a human with a question")
    answers = list(_answers(record))
    if gold_turn is not None:
        answers.append(("conversations (gpt)", answer_of_turn(gold_turn)))
    given = record.get("options")
    if given:
        options = _options(given, "options")
        text = _with_options(text, options)
    else:
        options = options_in(text)
    evaluation = record.get("eval")
    details = evaluation if isinstance(evaluation, dict) else {}
    return _assemble(
        record, row, stem, text, options, answers, domain=_first_text(details, ("type",)),
        lacks_context="long_answer" in details,
    )  # fmt: skip


def _answers(record: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Every answer that a record gives, with its field."""
    evaluation = record.get("eval")
    nested = evaluation.get("answer") if isinstance(evaluation, dict) else None
    for field, value in (("answer_idx", record.get("answer_idx")), ("eval.answer", nested)):
        if value is not None and value != "":
            yield field, _answer_text(value, field)


def _plain_record(record: Mapping[str, object], row: int, stem: str) -> Question:
    """The MedQA record {question, options, answer_idx}, and its relatives with `choices` and `answer`."""
    text = _text(record["question"], "question")
    field = "options" if "options" in record else "choices"
    given = record.get(field)
    options = _options(given, field) if given is not None else options_in(text)
    answers: list[tuple[str, str]] = []
    for name in ("answer_idx", "answer", "label", "target"):
        value = record.get(name)
        if value is None or value == "" or (answers and name in ("label", "target")):
            continue
        answers.append((name, _indexed(value, options, 0, name)))
    if given is not None:
        choice_format(options)
        text = _with_options(text, options)
    context = _first_text(record, ("context", "passage"))
    if context:
        text = f"{context.rstrip()}\n\n{text}"
    return _assemble(record, row, stem, text, options, answers, domain="", has_context=bool(context))


def _mapped(record: Mapping[str, object], row: int, stem: str, mapping: ColumnMapping) -> Question:
    text = _text(_reach(record, mapping.question), mapping.question)
    options: tuple[Option, ...] = ()
    if isinstance(mapping.options, str):
        options = _options(_reach(record, mapping.options), mapping.options)
    elif mapping.options is not None:
        texts = [(name, _reach(record, name)) for name in mapping.options]
        filled = [(name, value) for name, value in texts if value is not None]
        options = tuple(
            Option(letter=letter, text=_text(_number_text(value), name))
            for letter, (name, value) in zip(_LETTERS, filled, strict=False)
        )
    if mapping.options is not None:
        choice_format(options)
        text = _with_options(text, options)
    elif mapping.answer_kind in ("auto", "choice"):
        options = options_in(text)
    context = _reach(record, mapping.context) if mapping.context else None
    if context is not None:
        text = f"{_text(context, mapping.context or '').rstrip()}\n\n{text}"
    answer = _reach(record, mapping.answer)
    answers: list[tuple[str, str]] = []
    if answer is not None and answer != "":
        answers.append((mapping.answer, _indexed(answer, options, mapping.first_index, mapping.answer)))
    return _assemble(record, row, stem, text, options, answers, domain="", mapping=mapping,
                     has_context=context is not None)  # fmt: skip


def _with_options(text: str, options: tuple[Option, ...]) -> str:
    """The text with its options as lines, unless they stand there already."""
    if not options or options_in(text) == options:
        return text
    return f"{text.rstrip()}\n{option_lines(options)}"


def _assemble(
    record: Mapping[str, object], row: int, stem: str, text: str, options: tuple[Option, ...],
    answers: list[tuple[str, str]], *, domain: str, mapping: ColumnMapping | None = None,
    has_context: bool = False, lacks_context: bool = False,
) -> Question:  # fmt: skip
    """Build the question from its parts; several answers of one record must agree."""
    if not text.strip():
        raise FieldError("question", "the text is empty")
    text = text.replace("\r\n", "\n")
    text.encode()
    if not answers:
        raise FieldError(mapping.answer if mapping else "answer", "the answer is missing")
    kind = mapping.answer_kind if mapping else "auto"
    letters = {}
    for field, answer in answers:
        if kind in ("auto", "choice"):
            letter = gold_letter(answer, options, field)
            if letter is not None:
                letters[field] = letter
    if len(set(letters.values())) > 1:
        raise FieldError(" and ".join(letters), "the answers disagree")
    answer_format: AnswerFormat
    if letters:
        answer_format, gold = choice_format(options), Gold(value=next(iter(letters.values())))
    elif kind == "choice" or (options and mapping is None and ("options" in record or "choices" in record)):
        raise FieldError(answers[0][0], "the answer is none of the options")
    else:
        if len({answer.casefold().strip(" .") for _, answer in answers}) > 1:
            raise FieldError(" and ".join(field for field, _ in answers), "the answers disagree")
        answer_format, gold = open_answer(
            answers[0][1], "text" if kind == "auto" and options else kind,
            mapping.unit if mapping else None, mapping.relative_tolerance if mapping else 0.0, answers[0][0],
        )  # fmt: skip
    context = True if has_context or _CONTEXT.search(text) else (False if lacks_context else None)
    question = Question(
        id=_identity(record, mapping, row, stem),
        text=text,
        answer_format=answer_format,
        gold=gold,
        source=_named(record, mapping.source if mapping else None, _SOURCE_KEYS) or stem,
        domain=domain or _named(record, mapping.domain if mapping else None, _DOMAIN_KEYS),
        has_context=context,
    )
    (question.id + question.source + question.domain).encode()
    return question


def _identity(record: Mapping[str, object], mapping: ColumnMapping | None, row: int, stem: str) -> str:
    name = (mapping.id if mapping else None) or "id"
    value = _reach(record, name)
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise FieldError(name, f"expected a text or an integer, found {_kind(value)}")
    if isinstance(value, int) and abs(value) >= 10**18:
        raise FieldError(name, "the number is too large")
    text = "" if value is None else str(value).strip()
    if len(text) > 512:
        raise FieldError(name, "longer than 512 characters")
    return text or f"{stem}-{row}"


def _named(record: Mapping[str, object], column: str | None, keys: tuple[str, ...]) -> str:
    if column is not None:
        value = _reach(record, column)
        return value if isinstance(value, str) else ""
    return _first_text(record, keys)


def _first_text(record: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := record.get(key), str) and value), "")


def _options(value: object, field: str) -> tuple[Option, ...]:
    """Options as an object of letters, a list of texts, or a list of {key, value}."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        from meds3core.data.streams import parse_json

        value = parse_json(value.encode(), 0)
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        value = [{"key": key, "value": text} for key, text in zip(value["label"], value["text"], strict=False)]
    if isinstance(value, dict):
        items = [(str(key).strip(), text) for key, text in value.items() if text is not None]
    elif isinstance(value, list):
        items = []
        for letter, entry in zip(_letters(len(value)), value, strict=True):
            if isinstance(entry, dict):
                items.append((str(entry.get("key", letter)).strip(), entry.get("value", entry.get("text"))))
            else:
                items.append((letter, entry))
    else:
        raise FieldError(field, f"expected an object or a list of options, found {_kind(value)}")
    if len(items) > len(_LETTERS):
        raise FieldError(field, f"{len(items)} options; at most {len(_LETTERS)} can be read")
    for letter, _ in items:
        if not 1 <= len(letter) <= 4:
            raise FieldError(field, "an option's letter must have one to four characters")
    return tuple(
        Option(letter=letter, text=" ".join(_text(_number_text(text), f"{field}.{letter}").split()))
        for letter, text in items
    )


def _letters(count: int) -> list[str]:
    return [_LETTERS[index] if index < len(_LETTERS) else "?" for index in range(count)]


def _indexed(value: object, options: tuple[Option, ...], first: int, field: str) -> str:
    """An answer as text; a whole number is the position of an option where there are options."""
    digits = isinstance(value, str) and value.strip().isdecimal() and len(value) < 4
    if options and ((isinstance(value, int) and not isinstance(value, bool)) or digits):
        texts = {option.text.strip() for option in options}
        letters = {option.letter for option in options}
        if str(value).strip() in texts | letters:
            return str(value).strip()
        position = int(str(value)) - first
        if not 0 <= position < len(options):
            raise FieldError(field, f"the answer's number is no position of the {len(options)} options")
        return options[position].letter
    return _answer_text(value, field)


def _answer_text(value: object, field: str) -> str:
    text = _text(_number_text(value), field)
    if not text.strip():
        raise FieldError(field, "the answer is empty")
    return text


def _number_text(value: object) -> object:
    """A number as a file's author wrote it; other things unchanged."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) < 10**18:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.15g}"
    return value


def _text(value: object, field: str) -> str:
    if value is None:
        raise FieldError(field, "missing")
    if not isinstance(value, str):
        raise FieldError(field, f"expected a text, found {_kind(value)}")
    value.encode()
    return value


def _reach(record: Mapping[str, object], path: str) -> object:
    if path in record:
        return record[path]
    value: object = record
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _kind(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN or infinity"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number",
             float: "a number", type(None): "nothing"}  # fmt: skip
    return names.get(type(value), "something else")
