"""Which examples a step sees: full batches, every example equally often, whatever the device and the processes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meds3core.config.training import SftConfig
from meds3core.errors import ConfigError
from meds3core.training.batches import accumulation, plan_batches

lengths = st.lists(st.integers(1, 400), min_size=1, max_size=120)


@given(lengths, st.integers(1, 12), st.floats(0.1, 5), st.integers(0, 9))
def test_batches_are_full_and_every_example_comes_equally_often(sizes, batch, epochs, seed):
    plan = plan_batches(sizes, SftConfig(batch_size=batch, micro_batch_size=1, epochs=epochs, seed=seed))
    assert len(plan.order) == plan.steps * batch
    assert plan.steps * batch >= epochs * len(sizes) - 1e-6 > (plan.steps - 1) * batch - 1e-3 or plan.steps == 1
    counts = Counter(plan.order)
    seen = [counts[i] for i in range(len(sizes))]
    assert max(seen) - min(seen) <= 1
    assert plan.tokens[-1] == sum(sizes[i] for i in plan.order)


@given(lengths, st.integers(0, 9))
def test_what_a_step_sees_does_not_depend_on_how_it_is_split(sizes, seed):
    whole = plan_batches(sizes, SftConfig(batch_size=8, micro_batch_size=8, seed=seed))
    split = plan_batches(sizes, SftConfig(batch_size=8, micro_batch_size=2, seed=seed))
    assert whole == split


def test_the_seed_decides_the_order():
    config = SftConfig(batch_size=4, micro_batch_size=4)
    sizes = list(range(1, 41))
    assert plan_batches(sizes, config) == plan_batches(sizes, config)
    assert plan_batches(sizes, config).order != plan_batches(sizes, config.model_copy(update={"seed": 1})).order


def test_batches_hold_examples_of_like_length():
    sizes = [10 + (37 * i) % 200 for i in range(256)]
    plan = plan_batches(sizes, SftConfig(batch_size=8, micro_batch_size=8))
    batches = [[sizes[i] for i in plan.order[start : start + 8]] for start in range(0, 256, 8)]
    computed = sum(8 * max(batch) for batch in batches)
    assert computed < 1.15 * sum(sizes)
    assert [max(batch) for batch in batches] != sorted((max(batch) for batch in batches), reverse=True)


def test_max_steps_wins_over_epochs():
    assert plan_batches([5] * 10, SftConfig(batch_size=4, micro_batch_size=4, epochs=9, max_steps=3)).steps == 3


def test_accumulation_divides_over_processes_or_says_why_not():
    config = SftConfig(batch_size=16, micro_batch_size=4)
    assert (accumulation(config, 1), accumulation(config, 2), accumulation(config, 4)) == (4, 2, 1)
    with pytest.raises(ConfigError, match=r"batch_size \(16\).*micro_batch_size \(4\).*processes \(3\)"):
        accumulation(config, 3)
