"""What each strategy makes of a question's samples agrees with the accuracy that the evaluation reports."""

import numpy as np

from meds3core.evaluation.choices import choices_of, ways_of
from meds3core.evaluation.outcomes import outcomes_of
from tests.core.evaluation import pages


def test_choices_are_those_behind_the_reported_accuracy():
    stored = pages.evaluation()
    ways = ways_of(stored.evaluation)
    assert ways[0] == stored.evaluation.selection.chosen
    by_label = {each.key.label: each.accuracy.value for each in stored.evaluation.grid}
    right = {key.label: [] for key in ways}
    for row in stored.rows:
        for choice in choices_of(row, ways):
            assert choice.correct == (row.strategies[choice.key.label] == 1.0), choice
            if choice.index is not None:
                assert row.samples[choice.index].answer == choice.answer
            right[choice.key.label].append(choice.correct)
    assert {label: np.mean(found) for label, found in right.items()} == {
        label: np.float64(by_label[label]) for label in right
    }


def test_a_question_without_samples_has_no_choices():
    row = pages.evaluation().rows[0].model_copy(update={"samples": ()})
    assert choices_of(row, ways_of(pages.evaluation().evaluation)) == ()


def test_columns_hold_what_the_rows_do():
    stored = pages.evaluation()
    found = outcomes_of(stored)
    for place, row in enumerate(stored.rows):
        assert found.greedy[place] == float(row.greedy.correct is True)
        assert {label: found.by(label)[place] for label in found.labels} == row.strategies
    assert found.basis() == stored.basis()
