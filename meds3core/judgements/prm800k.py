"""Judgements as PRM800K has them (Lightman 2023): a line is one person's walk along one solution.

`label.steps[i].completions` are the continuations that were shown at step i, each with a rating: 1 good, 0 neutral,
−1 bad, null none. `chosen_completion` says with which one the walk went on; null with a `human_completion`: with a step
that the person wrote. Lines written here have one field more, `meds3`, which other readers pass over: what the form has
no place for, so that reading it again finds the same step of the same question.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from meds3core.data.rows import FieldError
from meds3core.judgements.records import judgement_of, question_named, text_of
from meds3core.labels.prefix import prefix_hashes
from meds3core.text.steps import OPENER
from meds3core.types.judgements import StepJudgement, Verdict
from meds3core.types.question import OpenQuestion

RATINGS: dict[Verdict, int | None] = {
    Verdict.GOOD: 1,
    Verdict.NEUTRAL: 0,
    Verdict.BAD: -1,
    Verdict.CANT_TELL: None,
}
_VERDICTS: dict[int | None, Verdict] = {rating: verdict for verdict, rating in RATINGS.items() if rating is not None}
_WHEN: TypeAdapter[datetime] = TypeAdapter(datetime)
_EXTRA = (
    *("id", "errors", "severity", "comment", "blind", "taken_back", "adjudicated", "correct", "by_chance", "seconds"),
)


# --- out -----------------------------------------------------------------------------------------------------------


def prm800k_rows(judgements: Iterable[StepJudgement]) -> Iterator[dict[str, Any]]:
    """A row for each person and longest line of steps, in the order in which people and questions come.

    What a person said of several steps of one line stands in one row; steps before and between that they did not judge
    have no rating. A correction is the step's `human_completion`.
    """
    walks: dict[tuple[str, str], dict[str, StepJudgement]] = defaultdict(dict)
    for judgement in judgements:
        names = list(prefix_hashes(judgement.question, judgement.bodies))
        walks[judgement.annotator, judgement.question.text_hash][names[-1]] = judgement
    for waiting in walks.values():
        for name, one in sorted(waiting.items(), key=lambda pair: -len(pair[1].bodies)):
            if name in waiting:
                names = list(prefix_hashes(one.question, one.bodies))
                yield _row(one, [waiting.pop(each, None) for each in names])


def _row(last: StepJudgement, said: list[StepJudgement | None]) -> dict[str, Any]:
    told = [one for one in said if one is not None]
    times = [one.seconds for one in told if one.seconds is not None]
    when = max((one.said_at for one in told if one.said_at is not None), default=None)
    question = {"problem": last.question.text, "ground_truth_answer": last.gold or None}
    return {
        "labeler": last.annotator,
        "timestamp": None if when is None else when.isoformat(),
        "generation": None,
        "is_quality_control_question": any(one.control is not None for one in told),
        "is_initial_screening_question": False,
        "question": question,
        "label": {
            "steps": [_step(body, one) for body, one in zip(last.bodies[1:], said[1:], strict=True)],
            "total_time": round(1000 * sum(times)) if times else None,
            "finish_reason": "found_error" if last.verdict is Verdict.BAD else None,
        },
        "meds3": {
            "question": last.question.model_dump(mode="json", exclude={"text"}),
            "opener": last.bodies[0],
            "steps": [None if one is None else _extra(one) for one in said[1:]],
        },
    }


def _step(body: str, said: StepJudgement | None) -> dict[str, Any]:
    rating = None if said is None else RATINGS[said.verdict]
    completions = [{"text": body, "rating": rating, "flagged": False}]
    human = None
    if said is not None:
        completions += [{"text": text, "rating": None, "flagged": False} for text in said.siblings]
        if said.correction:
            human = {"text": said.correction, "rating": None, "source": "human", "flagged": False}
    return {"completions": completions, "human_completion": human, "chosen_completion": 0}


def _extra(said: StepJudgement) -> dict[str, Any]:
    kept = said.model_dump(mode="json", include={*_EXTRA, "control"})
    return {name: value for name, value in kept.items() if value not in (None, "", [], ())} | {"verdict": said.verdict}


# --- in ------------------------------------------------------------------------------------------------------------


def is_prm800k(record: Any) -> bool:
    """Whether a record has the shape."""
    return isinstance(record, Mapping) and isinstance(record.get("label"), Mapping) and "steps" in record["label"]


def prm800k_judgements(
    record: Mapping[str, Any], row: int, known: Mapping[str, OpenQuestion]
) -> Iterator[StepJudgement]:
    """What one line says, step by step along the chosen completions. `known`: questions by their text.

    Raises `FieldError`. Completions without a rating say nothing, and neither does what comes after a step with which
    the walk did not go on.
    """
    question, ours = record.get("question"), record.get("meds3") or {}
    if not isinstance(question, Mapping) or not isinstance(ours, Mapping):
        raise FieldError("question", "expected an object")
    asked = _question(text_of(question.get("problem"), "question.problem"), ours, row, known)
    gold = question.get("ground_truth_answer")
    shared = {
        "question": asked,
        "annotator": text_of(record.get("labeler"), "labeler"),
        "gold": gold if isinstance(gold, str) else "",
        "said_at": _when(record.get("timestamp")),
    }
    bodies: tuple[str, ...] = (str(ours.get("opener") or OPENER),)
    steps = record["label"]["steps"]
    if not isinstance(steps, list):
        raise FieldError("label.steps", "expected a list")
    kept = ours.get("steps")
    for number, step in enumerate(steps, start=1):
        place = f"label.steps.{number - 1}"
        if not isinstance(step, Mapping):
            raise FieldError(place, "expected an object")
        texts = [_completion(each, f"{place}.completions") for each in step.get("completions") or ()]
        human = step.get("human_completion")
        written = human.get("text") if isinstance(human, Mapping) and isinstance(human.get("text"), str) else ""
        extra = kept[number - 1] if isinstance(kept, list) and number <= len(kept) else None
        for at, (text, rating) in enumerate(texts):
            mine = isinstance(extra, Mapping) and at == 0
            verdict = extra.get("verdict") if mine and extra is not None else _VERDICTS.get(rating)
            if verdict is None:
                continue
            values = shared | {
                "bodies": (*bodies, text),
                "verdict": verdict,
                "correction": written if verdict == Verdict.BAD else "",
                "siblings": tuple(other for place, (other, _) in enumerate(texts) if place != at and other != text),
            }
            yield judgement_of(values | (dict(extra) if mine and extra is not None else {}), place)
        chosen = step.get("chosen_completion")
        if isinstance(chosen, int) and 0 <= chosen < len(texts):
            bodies = (*bodies, texts[chosen][0])
        elif written:
            bodies = (*bodies, written)
        else:
            return


def _completion(value: Any, field: str) -> tuple[str, int | None]:
    if not isinstance(value, Mapping):
        raise FieldError(field, "expected an object")
    rating = value.get("rating")
    if rating not in (None, -1, 0, 1):
        raise FieldError(f"{field}.rating", "expected -1, 0, 1 or null")
    return text_of(value.get("text"), f"{field}.text"), rating


def _question(text: str, ours: Mapping[str, Any], row: int, known: Mapping[str, OpenQuestion]) -> OpenQuestion:
    if text in known:
        return known[text]
    given = ours.get("question")
    if isinstance(given, Mapping):
        try:
            return OpenQuestion.model_validate({**given, "text": text})
        except ValidationError:
            raise FieldError("meds3.question", "not a question") from None
    return question_named(text, f"prm800k-{row}", "PRM800K")


def _when(value: Any) -> datetime | None:
    try:
        return None if value is None else _WHEN.validate_python(value)
    except ValidationError:
        raise FieldError("timestamp", "expected a time") from None
