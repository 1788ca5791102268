"""Which of a question's samples each strategy answers with, and why: the drill-down behind an accuracy."""

from collections.abc import Sequence

from meds3core.decoding.curves import PASS
from meds3core.decoding.strategies import STRATEGIES, sample_score
from meds3core.evaluation.record import Evaluation, QuestionRow
from meds3core.evaluation.selection import StrategyKey
from meds3core.types.record import Record


class SampleChoice(Record):
    """What one strategy answers from all samples of a question. `index`: the sample that stands for the answer."""

    key: StrategyKey
    answer: str | None
    index: int | None
    why: str
    correct: bool
    scores: tuple[float, ...] | None = None
    """Each sample's score by the strategy's reward model and aggregator; None where it reads none."""


def ways_of(evaluation: Evaluation) -> tuple[StrategyKey, ...]:
    """The strategies that answer from all samples; the chosen one first, then in the order of the grid."""
    most = max((each.key.n for each in evaluation.grid), default=0)
    chosen = evaluation.selection.chosen if evaluation.selection is not None else None
    found = [each.key for each in evaluation.grid if each.key.n == most and each.key.strategy != PASS]
    return tuple(sorted(found, key=lambda key: key != chosen))


def choices_of(row: QuestionRow, ways: Sequence[StrategyKey]) -> tuple[SampleChoice, ...]:
    """What each way (`ways_of`) makes of a question's samples. Nothing for a question without samples."""
    if not row.samples:
        return ()
    answers = [sample.answer for sample in row.samples]
    found = []
    for key in ways:
        scores = _scores(row, key)
        choice = STRATEGIES[key.strategy].choose(answers, scores, range(len(answers)))
        found.append(
            SampleChoice(
                key=key,
                answer=choice.answer,
                index=choice.index,
                why=choice.why,
                correct=choice.index is not None and row.samples[choice.index].correct is True,
                scores=scores,
            )
        )
    return tuple(found)


def _scores(row: QuestionRow, key: StrategyKey) -> tuple[float, ...] | None:
    if key.aggregator is None:
        return None
    return tuple(sample_score(sample.scores.get(key.scorer, ()), key.aggregator) for sample in row.samples)
