"""How every question came out by every way to answer, as columns: all that a comparison needs of an evaluation.

Rows with their texts may take hundreds of megabytes; the columns of 2,000 questions and 70 strategies take one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meds3core.errors import ConfigError
from meds3core.evaluation.comparability import Basis, QuestionShape, basis_of
from meds3core.evaluation.intervals import Floats
from meds3core.evaluation.record import Evaluation, QuestionRow, StoredEvaluation

GREEDY, SOUND, CHOSEN = "greedy", "sound", "chosen"
"""Ways to look at a question besides the labels of strategies: the greedy answer, whether all of its steps are right
too, and the strategy that the evaluation chose."""


class NotMeasured(ConfigError):
    """An evaluation has no figures by the way that was asked for."""

    code = "not-measured"


@dataclass(frozen=True)
class Outcomes:
    """Columns over the questions, in their order.

    `greedy` and `sound` are (Q,), 1.0 or 0.0, NaN where there is no greedy answer or no judge knows; `strategies` is
    (K, Q) expected correctness in the order of `labels`, NaN where a question has no samples. `answers`: greedy ones.
    """

    evaluation: Evaluation
    questions: tuple[QuestionShape, ...]
    domains: tuple[str, ...]
    answers: tuple[str | None, ...]
    greedy: Floats
    sound: Floats
    labels: tuple[str, ...]
    strategies: Floats

    def by(self, way: str) -> Floats:
        """(Q,) outcomes by a way to answer: `greedy`, `sound`, `chosen` or a strategy's label. Raises `NotMeasured`."""
        if way in (GREEDY, SOUND):
            found = self.greedy if way == GREEDY else self.sound
            if not np.isnan(found).all():
                return found
        label = self.label_of(way)
        if label in self.labels:
            return np.asarray(self.strategies[self.labels.index(label)], dtype=float)
        raise NotMeasured(f"{self.evaluation.policy} was not measured by {label}")

    def label_of(self, way: str) -> str:
        """The way by its name: the chosen strategy's label, any other as it stands."""
        selection = self.evaluation.selection
        return selection.chosen.label if way == CHOSEN and selection is not None else way

    def basis(self, places: Sequence[int] | None = None) -> Basis:
        """What the figures over these questions (default: all) stand on."""
        source = self.evaluation.greedy_source or self.evaluation.sample_source
        assert source is not None
        questions = self.questions if places is None else tuple(self.questions[place] for place in places)
        return Basis(prompt=source.prompt, prompt_hash=source.prompt_hash, questions=questions)


def outcomes_of(stored: StoredEvaluation) -> Outcomes:
    """The columns of an evaluation whose rows are in memory."""
    return outcomes_from(stored.evaluation, stored.rows)


def outcomes_from(evaluation: Evaluation, rows: Sequence[QuestionRow]) -> Outcomes:
    """The columns out of an evaluation's rows; their samples are not looked at."""
    source = evaluation.greedy_source or evaluation.sample_source
    assert source is not None
    labels = tuple(dict.fromkeys(label for row in rows for label in row.strategies))
    table = np.full((len(labels), len(rows)), np.nan)
    numbers = {label: number for number, label in enumerate(labels)}
    for place, row in enumerate(rows):
        for label, value in row.strategies.items():
            table[numbers[label], place] = value
    return Outcomes(
        evaluation=evaluation,
        questions=basis_of(source, [row.question for row in rows]).questions,
        domains=tuple(row.question.domain for row in rows),
        answers=tuple(row.greedy.answer if row.greedy is not None else None for row in rows),
        greedy=np.array([np.nan if row.greedy is None else float(row.greedy.correct is True) for row in rows]),
        sound=np.array(
            [np.nan if row.greedy is None or row.greedy.sound is None else float(row.greedy.sound) for row in rows]
        ),
        labels=labels,
        strategies=table,
    )
