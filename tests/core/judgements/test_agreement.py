"""Agreement figures equal the libraries' and, for annotators of known error rates, what theory says."""

import random

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from meds3core.evaluation.intervals import Resampling, wilson
from meds3core.judgements.agreement import Said, Units, agreement_figures, alpha_statistic, kappa_statistic
from meds3core.types.judgements import ErrorKind, Verdict

GOOD, NEUTRAL, BAD, UNSURE = Verdict.GOOD, Verdict.NEUTRAL, Verdict.BAD, Verdict.CANT_TELL
OPTIONS = Resampling(level=0.95, resamples=200, seed=0)


def said(item, annotator, verdict, **more):
    return Said(str(item), more.pop("question", str(item)), annotator, verdict, **more)


def many(seed, people=3, steps=60):
    """Verdicts of several people who skip some steps and cannot tell of others; two steps to a question."""
    chance = random.Random(seed)
    rows = []
    for step in range(steps):
        right = chance.choice([GOOD, GOOD, BAD, NEUTRAL])
        for person in range(people):
            if chance.random() < 0.8:
                verdict = right if chance.random() < 0.7 else chance.choice([GOOD, NEUTRAL, BAD, UNSURE])
                errors = frozenset({chance.choice(list(ErrorKind))}) if verdict is BAD else frozenset()
                rows.append(
                    Said(str(step), str(step // 2), f"p{person}", verdict, errors, chance.choice([2.0, 5.0, 9.0]))
                )
    return rows


def table(rows, people):
    """Verdicts as krippendorff takes them: a row per person, NaN where there is none."""
    scale = {BAD: 0, NEUTRAL: 1, GOOD: 2}
    steps = sorted({row.item for row in rows})
    found = np.full((len(people), len(steps)), np.nan)
    for row in rows:
        if row.verdict in scale:
            found[people.index(row.annotator), steps.index(row.item)] = scale[row.verdict]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_alpha_and_kappa_are_the_libraries(seed):
    rows = many(seed)
    found = agreement_figures(rows, resamples=100)
    data = table(rows, ["p0", "p1", "p2"])
    assert found.nominal.value == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"))
    assert found.ordinal.value == pytest.approx(krippendorff.alpha(data, level_of_measurement="ordinal"))
    assert [(pair.first, pair.second) for pair in found.pairs] == [("p0", "p1"), ("p0", "p2"), ("p1", "p2")]
    for pair in found.pairs:
        both = data[[int(pair.first[1]), int(pair.second[1])]]
        both = both[:, ~np.isnan(both).any(axis=0)].astype(int)
        assert pair.steps == both.shape[1] == sum(map(sum, pair.table))
        assert pair.kappa.value == pytest.approx(cohen_kappa_score(both[0], both[1]))
    told = [row for row in rows if row.verdict is not UNSURE]
    paired = {row.question for row in told if sum(other.item == row.item for other in told) > 1}
    assert found.nominal.n == len(paired)  # questions are resampled, those with something to compare
    assert found.nominal.low < found.nominal.value < found.nominal.high


@pytest.mark.parametrize("measurement", ["nominal", "ordinal"])
def test_a_resample_is_the_library_s_figure_of_its_steps(measurement):
    rng = np.random.default_rng(1)
    counts = rng.multinomial(3, [0.5, 0.2, 0.3], size=30).astype(float)
    counts[::5] = np.eye(3)[rng.integers(0, 3, 6)]  # units with one value, which pair with nothing
    clusters = np.arange(30) // 2
    statistic = alpha_statistic(Units(counts, clusters, 15), measurement)
    for drawn in (np.ones(15), rng.multinomial(15, np.full(15, 1 / 15))):
        repeated = np.repeat(counts, np.asarray(drawn, dtype=int)[clusters], axis=0)
        expected = krippendorff.alpha(value_counts=repeated, value_domain=[0, 1, 2], level_of_measurement=measurement)
        assert statistic(np.asarray(drawn, dtype=float)[None])[0] == pytest.approx(expected)


def test_a_resample_of_kappa_is_scikit_learn_s_with_weights():
    rng = np.random.default_rng(2)
    first, second, clusters = rng.integers(0, 3, 40), rng.integers(0, 3, 40), np.arange(40) % 8
    drawn = rng.multinomial(8, np.full(8, 1 / 8))
    found = kappa_statistic(first, second, clusters, 8)(drawn[None].astype(float))[0]
    assert found == pytest.approx(cohen_kappa_score(first, second, sample_weight=drawn[clusters]))


def test_two_annotators_of_known_error_rates_agree_as_theory_says():
    """Half of the steps are bad; both err on a tenth, independently: they agree on 0.9² + 0.1² = 0.82, by chance on
    half: kappa and alpha are (0.82 − 0.5) / 0.5 = 0.64. The controls give each one's accuracy back: 0.9."""
    chance = random.Random(3)
    rows = []
    for step in range(4000):
        truth = GOOD if step % 2 else BAD
        wrong = BAD if truth is GOOD else GOOD
        for person in ("ann", "bob"):
            verdict = wrong if chance.random() < 0.1 else truth
            rows.append(said(step, person, verdict, seconds=4.0, known=truth if step < 1000 else None))
    found = agreement_figures(rows, resamples=200)
    (pair,) = found.pairs
    for estimate, theory in ((pair.same, 0.82), (pair.kappa, 0.64), (found.nominal, 0.64), (found.same, 0.82)):
        assert estimate.low < theory < estimate.high
        assert estimate.high - estimate.low < 0.06
    ann = next(each for each in found.annotators if each.annotator == "ann")
    right = sum(row.verdict is row.known for row in rows if row.annotator == "ann" and row.known)
    assert ann.control_accuracy == wilson(right, 1000)
    assert ann.control_accuracy.low < 0.9 < ann.control_accuracy.high
    assert (ann.judgements, ann.controls, ann.seconds, ann.per_hour) == (4000, 1000, (4.0, 4.0, 4.0), 900.0)


def test_control_items_tell_nothing_of_agreement():
    """Two who agree as by chance agree no better because both know the answers of a hundred planted items."""
    rows = many(7, people=2)
    errors = frozenset({ErrorKind.UNSAFE})
    planted = [
        said(f"c{step}", who, BAD, errors=errors, known=BAD) for step in range(100) for who in ("p0", "p1", "p2")
    ]
    alone, both = agreement_figures(rows, resamples=50), agreement_figures([*rows, *planted], resamples=50)
    for name in ("several", "same", "nominal", "ordinal", "pairs", "kinds"):
        assert getattr(both, name) == getattr(alone, name), name
    assert (both.steps - alone.steps, both.controls, alone.controls) == (100, 100, 0)
    assert {each.annotator: each.controls for each in both.annotators} == {"p0": 100, "p1": 100, "p2": 100}


def test_kinds_of_error_have_an_alpha_each():
    fact, unsafe = frozenset({ErrorKind.WRONG_FACT}), frozenset({ErrorKind.UNSAFE})
    rows = [
        said(1, "ann", BAD, errors=fact),
        said(1, "bob", BAD, errors=fact),
        said(2, "ann", BAD, errors=unsafe),
        said(2, "bob", GOOD),
        said(3, "ann", GOOD),
        said(3, "bob", GOOD),
        said(4, "ann", BAD, errors=unsafe),
        said(4, "bob", UNSURE),
    ]
    kinds = {each.kind: each for each in agreement_figures(rows, resamples=50).kinds}
    assert set(kinds) == {ErrorKind.WRONG_FACT, ErrorKind.UNSAFE}
    assert kinds[ErrorKind.WRONG_FACT].alpha.value == 1.0
    expected = krippendorff.alpha([[0, 1, 0], [0, 0, 0]], level_of_measurement="nominal")
    assert kinds[ErrorKind.UNSAFE].alpha.value == pytest.approx(expected)
    assert (kinds[ErrorKind.UNSAFE].named, kinds[ErrorKind.UNSAFE].steps) == (2, 1)


def test_where_nothing_can_be_said_nothing_is():
    alone = agreement_figures([said(1, "ann", GOOD), said(2, "ann", UNSURE)])
    assert (alone.nominal, alone.same, alone.pairs, alone.several) == (None, None, (), 0)
    assert (alone.judgements, alone.cant_tell, alone.steps) == (2, 1, 2)
    same_word = agreement_figures([said(step, who, GOOD) for step in range(5) for who in ("ann", "bob")])
    assert same_word.nominal is None and same_word.pairs[0].kappa is None
    assert same_word.same.value == 1.0
    assert agreement_figures([]).annotators == ()


def test_a_second_word_of_one_person_is_refused():
    with pytest.raises(ValueError, match="twice"):
        agreement_figures([said(1, "ann", GOOD), said(1, "ann", BAD)])
