"""Aggregators: hand-worked values, one-step answers, bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meds3core.prm.aggregate import AGGREGATORS

scores = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("last", 0.5), ("min", 0.2), ("product", 0.08), ("mean", 0.5), ("geometric-mean", 0.08 ** (1 / 3))],
)
def test_hand_worked(name, expected):
    """Steps 1 to 3 score 0.8, 0.2, 0.5; step 0's 0.1 must not count."""
    assert AGGREGATORS[name]([0.1, 0.8, 0.2, 0.5]) == pytest.approx(expected)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_one_step_answers(name):
    """A published fault: aggregators that crash or give 1.0 when one step is left, or none but step 0."""
    assert AGGREGATORS[name]([0.9, 0.3]) == pytest.approx(0.3)
    assert AGGREGATORS[name]([0.3]) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="without steps"):
        AGGREGATORS[name]([])


@pytest.mark.parametrize("name", AGGREGATORS)
@given(values=scores, step_zero=st.floats(0.0, 1.0))
def test_between_nothing_and_the_best_step_whatever_step_zero_says(name, values, step_zero):
    found = AGGREGATORS[name]([step_zero, *values])
    assert 0.0 <= found <= max(values) + 1e-12
    assert found == AGGREGATORS[name]([1.0 - step_zero, *values])
