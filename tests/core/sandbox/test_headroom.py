"""What is left to gain: errors and rankings over seeds, and the sentences that follow from them."""

import pytest

from meds3core.evaluation.intervals import Estimate
from meds3core.sandbox.study.conclusions import error_words, ranking_words
from meds3core.sandbox.study.config import LabelVariant
from meds3core.sandbox.study.headroom import (
    ALL,
    Family,
    FirstErrors,
    HeadroomFigures,
    PolicyHeadroom,
    headroom_study,
    pairs_in_order,
)
from meds3core.types.labels import LabelKind

VARIANT = LabelVariant(label=LabelKind.SOFT, source="rollout", rollouts=4)


def ranking(value, low, high):
    return Estimate(value=value, low=low, high=high, n=20, method="bootstrap")


def family(name, found):
    return Family(name=name, questions=50, consensus=0.5, chosen=0.6, oracle=0.9, mixed=20, ranking=found)


def run(wrong_formula, calcium):
    return HeadroomFigures(
        errors=(
            FirstErrors(policy="base", questions=50, kinds={"wrong-formula": 10, "arithmetic": 4}),
            FirstErrors(policy="dpo-2", questions=50, kinds={"wrong-formula": wrong_formula, "arithmetic": 4}),
        ),
        sampled=(
            PolicyHeadroom(
                policy="final",
                aggregator="min",
                families=(
                    family("calcium", calcium),
                    family("dosing", ranking(0.9, 0.8, 1.0)),
                    family(ALL, ranking(0.7, 0.6, 0.8)),
                ),
            ),
        ),
    )


def test_pairs_of_a_right_and_a_wrong_answer_are_in_order_or_tied():
    """Right 0.9 and 0.5 against wrong 0.5 and 0.1: three of four pairs in order, one tie: 3.5 / 4."""
    assert pairs_in_order([0.9, 0.5], [0.5, 0.1]) == 3.5 / 4


def test_seeds_are_averaged_and_a_kind_that_one_seed_lacks_counts_nothing():
    study = headroom_study(VARIANT, [run(2, ranking(0.5, 0.4, 0.6)), run(0, ranking(0.6, 0.5, 0.7))])
    assert study.errors[1].kinds == {"wrong-formula": 2.0, "arithmetic": 8.0}
    assert study.families[0].ranking.value == pytest.approx(0.55)
    missing = headroom_study(VARIANT, [run(2, ranking(0.5, 0.4, 0.6)), run(0, None)])
    assert missing.families[0].ranking is None


def test_words_follow_from_rates_and_intervals():
    study = headroom_study(VARIANT, [run(2, ranking(0.5, 0.4, 0.6))])
    assert "at least halved: wrong-formula 20.0 → 4.0; not: arithmetic 8.0 → 8.0." in error_words(study)
    assert "70 times in 100; better than a coin in 1 of 2 families (dosing)." in ranking_words(study)
