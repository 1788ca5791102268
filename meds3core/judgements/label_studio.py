"""Judgements out of Label Studio: its JSON export (tasks with annotations) and JSON_MIN (one flat record each).

Label Studio fixes no names, so these shapes are known. The task's data hold the question (`question`, `problem` or
`prompt`), and either one step (`step`, with the steps before it in `earlier`: a list, or a trajectory as one text) or a
list of `steps`. What a control is about follows from its name. `verdict` (or `judgement`, `rating`) gives the verdict:
of the one step, or of the step whose number ends the name (`verdict_3` is step 3), or of the paragraph that was marked
(`paragraphlabels`, from 0; there `label` will do as well). Choices called `error…` are kinds of error and those called
`severity` the severity; texts called `correction` and `comment` are these. Every other control is about something else,
whatever was chosen in it. Verdicts may be called by their usual words (good, ok, bad, wrong, unsure, …).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meds3core.data.rows import FieldError
from meds3core.judgements.records import judgement_of, question_named, text_of
from meds3core.text.steps import OPENER, split
from meds3core.types.judgements import ErrorKind, Severity, StepJudgement, Verdict
from meds3core.types.question import OpenQuestion

WORDS: dict[str, Verdict] = {
    **dict.fromkeys(("good", "correct", "right", "positive", "yes", "+", "1"), Verdict.GOOD),
    **dict.fromkeys(("neutral", "ok", "okay", "0"), Verdict.NEUTRAL),
    **dict.fromkeys(("bad", "incorrect", "wrong", "negative", "error", "no", "-", "-1"), Verdict.BAD),
    **dict.fromkeys(
        ("cant-tell", "can-t-tell", "cannot-tell", "unsure", "unclear", "skip", "unknown"), Verdict.CANT_TELL
    ),
}
QUESTIONS = ("question", "problem", "prompt")
STEPS = ("steps", "trajectory", "dialogue")
EARLIER = ("earlier", "steps_before", "prefix")
VERDICTS = ("verdict", "judgement", "judgment", "rating")
_MARKS = (*VERDICTS, "label", "labels")
"""Controls that mark paragraphs."""
_NUMBER = re.compile(r"[_-]?(\d{1,4})$")
_META = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"})


def is_label_studio(record: Any) -> bool:
    """Whether a record has one of the shapes."""
    if not isinstance(record, Mapping):
        return False
    if isinstance(record.get("data"), Mapping) and isinstance(record.get("annotations"), list):
        return True
    return "annotation_id" in record and any(name in record for name in QUESTIONS)


def label_studio_judgements(
    record: Mapping[str, Any], row: int, known: Mapping[str, OpenQuestion]
) -> Iterator[StepJudgement]:
    """What one task says. Annotations that were skipped say nothing. Raises `FieldError`."""
    if "annotations" not in record:
        yield from _annotation(record, record, _flat(record), row, known)
        return
    for number, annotation in enumerate(record["annotations"]):
        if not isinstance(annotation, Mapping) or not isinstance(annotation.get("result"), list):
            raise FieldError(f"annotations.{number}", "expected an object with a list called result")
        if not annotation.get("was_cancelled"):
            yield from _annotation(record["data"], annotation, list(_results(annotation["result"], number)), row, known)


Result = tuple[str, int | None, list[str], str]
"""Name of the control, number of the paragraph it is about, chosen words, place for complaints."""


def _results(results: Sequence[Any], number: int) -> Iterator[Result]:
    for at, result in enumerate(results):
        place = f"annotations.{number}.result.{at}"
        value = result.get("value") if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping):
            raise FieldError(place, "expected an object with a value")
        said = value.get("choices") or value.get("paragraphlabels") or value.get("labels") or value.get("text") or []
        start = value.get("start") if "paragraphlabels" in value else None
        words = [said] if isinstance(said, str) else [str(word) for word in said]
        paragraph = int(start) if isinstance(start, int | str) and str(start).isdigit() else None
        yield str(result.get("from_name", "")), paragraph, words, place


def _flat(record: Mapping[str, Any]) -> list[Result]:
    found: list[Result] = []
    for name, value in record.items():
        if name in _META or name in (*QUESTIONS, *STEPS, *EARLIER, "step", "gold", "answer", "source"):
            continue
        said = value.get("choices", []) if isinstance(value, Mapping) else value
        if isinstance(said, str | int):
            found.append((name, None, [str(said)], name))
        elif isinstance(said, list) and all(isinstance(word, str) for word in said):
            found.append((name, None, said, name))
    return found


def _annotation(
    data: Mapping[str, Any],
    annotation: Mapping[str, Any],
    results: Sequence[Result],
    row: int,
    known: Mapping[str, OpenQuestion],
) -> Iterator[StepJudgement]:
    text = text_of(next((data[name] for name in QUESTIONS if data.get(name)), None), "data.question")
    bodies, single = _bodies(data)
    said: dict[int, dict[str, Any]] = {}
    passed_over = ""
    for name, paragraph, words, place in results:
        number = _numbered(name)
        step = len(bodies) - 1 if single else number
        if paragraph is not None:
            step = paragraph if _opened(data) else paragraph + 1
        if step is None or not words:
            continue
        field, value = _meant(name.lower(), words, place, _MARKS if paragraph is not None else VERDICTS)
        if not field:
            passed_over = passed_over or (place if _key(words[0]) in WORDS else "")
            continue
        if not 0 < step < len(bodies):
            raise FieldError(place, f"about step {step}, but there are steps 1 to {len(bodies) - 1}")
        said.setdefault(step, {})[field] = value
    if passed_over and not any("verdict" in values for values in said.values()):
        raise FieldError(passed_over, "no control is called verdict, and this one may be about anything: rename it")
    times = annotation.get("lead_time")
    for step, values in sorted(said.items()):
        if "verdict" not in values:
            continue
        if values["verdict"] is Verdict.GOOD:  # what is ticked beside "good" is a slip of the tool, not of the person
            values = {name: value for name, value in values.items() if name not in ("errors", "severity")}
        yield judgement_of(
            {
                "question": known.get(text)
                or question_named(text, f"label-studio-{row}", str(data.get("source") or "")),
                "bodies": bodies[: step + 1],
                "annotator": _annotator(annotation),
                "seconds": times if len(said) == 1 and isinstance(times, int | float) and times >= 0 else None,
                "said_at": annotation.get("created_at") or None,
                "adjudicated": annotation.get("ground_truth") is True,
                "gold": str(data.get("gold") or data.get("answer") or ""),
                **values,
            },
            "",
        )


def _bodies(data: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """All steps with the opener, and whether the judged one is the last by the task's shape."""
    if data.get("step"):
        before: Any = next((data[name] for name in EARLIER if data.get(name)), [])
        earlier = [part.body for part in split(before)] if isinstance(before, str) else _texts(before, "data.earlier")
        return (*_with_opener(earlier), text_of(data["step"], "data.step")), True
    given = next((data[name] for name in STEPS if data.get(name)), None)
    steps = [part.body for part in split(given)] if isinstance(given, str) else _texts(given, "data.steps")
    if not steps:
        raise FieldError("data.steps", "expected step, or a list of steps")
    return _with_opener(steps), False


def _texts(value: Any, field: str) -> list[str]:
    if not isinstance(value, list):
        raise FieldError(field, "expected a list of texts")
    found = []
    for at, each in enumerate(value):
        if isinstance(each, Mapping):
            each = each.get("text") or each.get("body") or each.get("content")
        found.append(text_of(each, f"{field}.{at}"))
    return found


def _with_opener(steps: list[str]) -> tuple[str, ...]:
    return tuple(steps) if steps[:1] == [OPENER] else (OPENER, *steps)


def _opened(data: Mapping[str, Any]) -> bool:
    given: Any = next((data[name] for name in STEPS if data.get(name)), [])
    return isinstance(given, list) and _texts(given, "data.steps")[:1] == [OPENER]


def _numbered(name: str) -> int | None:
    found = _NUMBER.search(name)
    return int(found[1]) if found else None


def _meant(name: str, words: Sequence[str], place: str, verdicts: Sequence[str]) -> tuple[str, Any]:
    plain = _NUMBER.sub("", name)
    if plain.startswith(("correction", "rewrite")):
        return "correction", "\n".join(words)
    if plain.startswith(("comment", "note", "reason")):
        return "comment", "\n".join(words)
    keys = [_key(word) for word in words]
    if plain.startswith(("error", "kind")):
        unknown = [key for key in keys if key not in set(ErrorKind)]
        if unknown:
            raise FieldError(place, f"an unknown kind of error; known are {', '.join(ErrorKind)}")
        return "errors", tuple(dict.fromkeys(keys))
    if plain.startswith("severity"):
        if keys[0] not in set(Severity):
            raise FieldError(place, f"an unknown severity; known are {', '.join(Severity)}")
        return "severity", keys[0]
    if plain not in verdicts:
        return "", None
    if keys[0] not in WORDS:
        raise FieldError(place, "an unknown verdict; known are good, neutral, bad, cant-tell and words like them")
    return "verdict", WORDS[keys[0]]


def _key(word: str) -> str:
    word = word.strip().lower()
    return word if word in WORDS else re.sub(r"[^a-z0-9+]+", "-", word).strip("-")


def _annotator(annotation: Mapping[str, Any]) -> str:
    """A pseudonym: addresses of people stay where they are."""
    who = annotation.get("completed_by", annotation.get("annotator"))
    if isinstance(who, Mapping):
        who = who.get("id")
    return f"label-studio-{who}" if isinstance(who, int | str) and str(who) else "label-studio"
