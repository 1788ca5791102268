"""The questions of an evaluation: found by how they came out, and one of them with all that was answered to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import numpy as np

from meds3core.evaluation.choices import SampleChoice, choices_of, ways_of
from meds3core.evaluation.intervals import Integers
from meds3core.evaluation.record import Evaluation as Figures
from meds3core.evaluation.record import QuestionRow, Response
from meds3core.types.question import ChoiceFormat, Option
from webapp.evaluations.index import Booleans, Index, values_of

SIZE = 30
GREEDY = "greedy"
RESULTS = (
    ("right", "Right"),
    ("wrong", "Wrong"),
    ("none", "No answer"),
    ("partly", "Right for some subsets of samples"),
    ("lucky", "Right, but a step is wrong"),
)
AGAINST = (
    ("differ", "They differ"),
    ("better", "Right where the other is not"),
    ("worse", "Not right where the other is"),
)
SAMPLES = (
    ("disagree", "Give different answers"),
    ("some", "Some right, some not"),
    ("never", "None right"),
    ("always", "All right"),
    ("silent", "Some without an answer"),
)


@dataclass(frozen=True)
class QuestionFilter:
    """Which questions are looked for; empty: all. `way` and `other`: greedy, or a strategy's label."""

    way: str = ""
    result: str = ""
    other: str = ""
    against: str = ""
    samples: str = ""
    source: str = ""
    domain: str = ""
    text: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str], *, text: str = "") -> "QuestionFilter":
        """From a form or a query. A text is only ever taken from the body of a request."""
        named = {each.name: given.get(each.name, "")[:200] for each in fields(cls) if each.name != "text"}
        return cls(**named, text=text[:500])

    @property
    def query(self) -> str:
        """The filter in a link, without the text that was looked for."""
        return urlencode(
            {each.name: value for each in fields(self) if each.name != "text" and (value := self._at(each))}
        )

    def _at(self, each: Any) -> str:
        return str(getattr(self, each.name))


@dataclass(frozen=True)
class QuestionLine:
    """A question in the list. `rights`: expected correctness by the ways that are looked at, None where not asked."""

    place: int
    text: str
    source: str
    domain: str
    answer: str | None
    greedy: bool | None
    sound: bool | None
    right: int
    drawn: int
    rights: tuple[float | None, ...]


@dataclass(frozen=True)
class QuestionPage:
    """Some of the questions that were found, and the places to go on from on both sides."""

    lines: list[QuestionLine]
    count: int
    first: int
    before: int | None
    after: int | None


class Questions:
    """The questions of one evaluation."""

    def __init__(self, index: Index) -> None:
        self.index = index

    @cached_property
    def ways(self) -> list[str]:
        """Ways to answer that were measured: greedy, then strategies from all samples, then from fewer."""
        most = max((_n(label) for label in self.index.labels), default=0)
        labels = sorted(self.index.labels, key=lambda label: (_n(label) != most, -_n(label)))
        return [*([GREEDY] if not np.isnan(self.index.greedy).all() else []), *labels]

    def found(self, wanted: QuestionFilter) -> Integers:
        """Places of the questions that meet the filter, ascending. What names no way to answer finds nothing by it."""
        meets: Booleans = np.ones(len(self.index), dtype=bool)
        ways = self.ways
        way = wanted.way if wanted.way in ways else next(iter(ways), "")
        if way and wanted.result:
            meets &= self._with_result(way, wanted.result)
        if way and wanted.other in ways and wanted.against:
            one, other = values_of(self.index, way), values_of(self.index, wanted.other)
            with np.errstate(invalid="ignore"):
                meets &= {"better": one > other, "worse": one < other}.get(
                    wanted.against, (one > other) | (one < other)
                )
        if wanted.samples:
            meets &= self._with_samples(wanted.samples)
        if wanted.source:
            meets &= np.array([each == wanted.source for each in self.index.sources], dtype=bool)
        if wanted.domain:
            meets &= np.array([each == wanted.domain for each in self.index.domains], dtype=bool)
        if wanted.text.strip():
            meets &= self.index.with_text(wanted.text)
        return np.flatnonzero(meets)

    def _with_result(self, way: str, result: str) -> Booleans:
        values, index = values_of(self.index, way), self.index
        silent = index.silent if way == GREEDY else (index.drawn > 0) & (index.drawn_silent == index.drawn)
        if result == "lucky":
            return np.asarray((index.greedy == 1.0) & (index.sound == 0.0))
        results = {
            "right": values == 1.0,
            "wrong": (values == 0.0) & ~silent,
            "none": silent,
            "partly": (values > 0.0) & (values < 1.0),
        }
        return np.asarray(results.get(result, np.ones(len(index), dtype=bool)))

    def _with_samples(self, wanted: str) -> Booleans:
        index = self.index
        drawn = index.drawn > 0
        kinds = {
            "disagree": index.drawn_answers > 1,
            "some": (index.drawn_right > 0) & (index.drawn_right < index.drawn),
            "never": drawn & (index.drawn_right == 0),
            "always": drawn & (index.drawn_right == index.drawn),
            "silent": index.drawn_silent > 0,
        }
        return np.asarray(kinds.get(wanted, np.ones(len(index), dtype=bool)))

    def page(
        self, wanted: QuestionFilter, *, after: int | None = None, before: int | None = None, size: int = SIZE
    ) -> QuestionPage:
        """Those behind (or before) a place; the first ones without either."""
        places = self.found(wanted)
        start = 0 if after is None else int(np.searchsorted(places, after, side="right"))
        if before is not None:
            start = max(0, int(np.searchsorted(places, before, side="left")) - size)
        shown = places[start : start + size].tolist()
        more = start + size < len(places)
        return QuestionPage(
            lines=self._lines(shown, [way for way in (wanted.way, wanted.other) if way in self.ways and way != GREEDY]),
            count=len(places),
            first=start,
            before=shown[0] if start and shown else None,
            after=shown[-1] if more else None,
        )

    def _lines(self, places: Sequence[int], ways: Sequence[str]) -> list[QuestionLine]:
        index, columns = self.index, [values_of(self.index, way) for way in ways]
        sources, domains, answers = index.sources, index.domains, index.answers
        return [
            QuestionLine(
                place=place,
                text=index.text(place),
                source=sources[place],
                domain=domains[place],
                answer=answers[place],
                greedy=_truth(index.greedy[place]),
                sound=_truth(index.sound[place]),
                right=int(index.drawn_right[place]),
                drawn=int(index.drawn[place]),
                rights=tuple(None if np.isnan(column[place]) else float(column[place]) for column in columns),
            )
            for place in places
        ]

    def beside(self, place: int, wanted: QuestionFilter) -> tuple[int | None, int | None]:
        """The places before and behind one among those that meet the filter."""
        places = self.found(wanted)
        at, behind = np.searchsorted(places, place, side="left"), np.searchsorted(places, place, side="right")
        return (
            int(places[at - 1]) if at > 0 else None,
            int(places[behind]) if behind < len(places) else None,
        )


# --- one question --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepScore:
    """A reward model's score of a step; `is_flagged`: below what the evaluation takes for a wrong step."""

    model: str
    value: float
    is_flagged: bool


@dataclass(frozen=True)
class StepLine:
    """A step of an answer. `right`: given the steps before; None: nobody knows."""

    number: int
    text: str
    right: bool | None
    scores: tuple[StepScore, ...]


@dataclass(frozen=True)
class AnswerView:
    """One answer with its steps. `chosen_by`: labels of the strategies that answer with it."""

    number: int
    response: Response
    steps: tuple[StepLine, ...]
    outcome: tuple[tuple[str, float], ...]
    chosen_by: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """The sample's number as the page's links have it."""
        return str(self.number)

    @property
    def is_lucky(self) -> bool:
        """Whether the answer is right and a step is not."""
        return self.response.correct is True and self.response.sound is False

    @property
    def weakest(self) -> tuple[tuple[str, float], ...]:
        """The lowest score of each process reward model, step 0 left out where there are more."""
        found: dict[str, float] = {}
        for step in self.steps[1:] or self.steps:
            for score in step.scores:
                found[score.model] = min(score.value, found.get(score.model, 1.0))
        return tuple(found.items())


@dataclass(frozen=True)
class QuestionView:
    """Everything about one question: what the strategies make of its samples, and all answers."""

    row: QuestionRow
    options: tuple[Option, ...]
    choices: tuple[SampleChoice, ...]
    greedy: AnswerView | None
    samples: tuple[AnswerView, ...]


def question_view(row: QuestionRow, figures: Figures) -> QuestionView:
    """One question, with what each strategy chose from all its samples."""
    choices = choices_of(row, ways_of(figures))
    limits = {
        name: scorer.thresholds.steps if scorer.thresholds is not None else figures.config.flag_below
        for name, scorer in figures.scorers.items()
    }
    form = row.question.answer_format
    return QuestionView(
        row=row,
        options=form.options if isinstance(form, ChoiceFormat) else (),
        choices=choices,
        greedy=_answer(0, row.greedy, (), limits) if row.greedy is not None else None,
        samples=tuple(
            _answer(number, sample, [each.key.label for each in choices if each.index == number], limits)
            for number, sample in enumerate(row.samples)
        ),
    )


def _answer(number: int, given: Response, chosen_by: Sequence[str], limits: Mapping[str, float]) -> AnswerView:
    by_step = {name: values for name, values in given.scores.items() if len(values) == len(given.bodies)}
    steps = tuple(
        StepLine(
            number=place,
            text=body,
            right=given.steps_right[place] if place and place < len(given.steps_right) else None,
            scores=tuple(
                StepScore(name, values[place], bool(place) and values[place] < limits.get(name, 0.0))
                for name, values in by_step.items()
            ),
        )
        for place, body in enumerate(given.bodies)
    )
    whole = tuple(
        (name, values[0]) for name, values in given.scores.items() if name not in by_step and len(values) == 1
    )
    return AnswerView(number, given, steps, whole, tuple(chosen_by))


def _n(label: str) -> int:
    number = label.rpartition("@")[2]
    return int(number) if number.isdecimal() else 0


def _truth(value: Any) -> bool | None:
    return None if np.isnan(value) else bool(value)
