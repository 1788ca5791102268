"""Curves over n: closed forms and vectorised votes against the strategies themselves, one subset at a time."""

import random
from dataclasses import replace
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.data.run_folder import QuestionFailure
from meds3core.decoding.curves import PASS, compute_curves
from meds3core.decoding.equal_tokens import at_equal_tokens
from meds3core.decoding.strategies import OUTCOME, STRATEGIES, sample_score
from meds3core.errors import ConfigError
from meds3core.prm.aggregate import AGGREGATORS
from meds3core.text.steps import OPENER
from tests.core.decoding.factory import RIGHT, sample_set, score_set

answers = st.sampled_from([RIGHT, "1 mg", "2 mg", None])
levels = st.integers(0, 3).map(lambda k: k / 3)


@st.composite
def sets(draw, most=6):
    n = draw(st.integers(1, most))
    count = draw(st.integers(1, 3))
    samples = sample_set([[draw(answers) for _ in range(n)] for _ in range(count)])
    steps = st.lists(levels, min_size=2, max_size=3)
    return samples, score_set(samples, [[draw(steps) for _ in range(n)] for _ in range(count)])


def enumerated(samples, scores, strategy, aggregator, n):
    """Per question (correct, no answer): the plain mean over all subsets, one `choose` at a time."""
    found = []
    for row, steps in zip(samples.rows, scores.rows, strict=True):
        given_answers = [sample.answer for sample in row.samples]
        flat = [sample_score(values, aggregator) for values in steps.scores]
        choices = [
            STRATEGIES[strategy].choose(given_answers, flat, subset)
            for subset in combinations(range(len(given_answers)), n)
        ]
        right = [choice.index is not None and row.samples[choice.index].correct is True for choice in choices]
        found.append((mean(right), mean(choice.answer is None for choice in choices)))
    return found


@pytest.mark.parametrize("strategy", ["self-consistency", "best-of-n", "vote-sum", "vote-mean"])
@settings(max_examples=60, deadline=None)
@given(made=sets(), data=st.data())
def test_expectations_equal_exhaustive_enumeration(strategy, made, data):
    samples, prm = made
    aggregator = data.draw(st.sampled_from(sorted(AGGREGATORS)))
    n = data.draw(st.integers(1, samples.source.n))
    curves = compute_curves(samples, prm=prm, ns=[n], strategies=[strategy], aggregators=[aggregator])
    point = curves.points[0]
    expected = enumerated(samples, prm, strategy, aggregator, n)
    assert point.exact
    assert list(point.correct) == pytest.approx([right for right, _ in expected])
    assert list(point.no_answer) == pytest.approx([none for _, none in expected])


def test_pass_at_k_is_the_known_closed_form():
    # 2 of 6 right: pass@1 = 1/3, pass@2 = 1 − C(4,2)/C(6,2) = 1 − 6/15, pass@5 = 1.
    curves = compute_curves(sample_set([[RIGHT, "1 mg", None, RIGHT, None, "2 mg"]]), ns=[1, 2, 5])
    assert [curves.point(PASS, n).correct[0] for n in (1, 2, 5)] == pytest.approx([1 / 3, 0.6, 1.0])


def test_best_of_n_by_order_statistics_with_ties():
    """Preference: index 1 (0.9), then 0 before 3 (0.5 each), then 2.

    Pairs: (0,1)→1 (0,2)→0 (0,3)→0 (1,2)→1 (1,3)→1 (2,3)→3. Right is 0: 2 of 6.
    """
    samples = sample_set([[RIGHT, "1 mg", "1 mg", "2 mg"]])
    curves = compute_curves(samples, prm=score_set(samples, [[0.5, 0.9, 0.1, 0.5]]), ns=[2], aggregators=["last"])
    assert curves.point("best-of-n", 2, "last").correct == pytest.approx((1 / 3,))


def large():
    rng = random.Random(3)
    samples = sample_set([[rng.choice([RIGHT, "1 mg", "2 mg", None]) for _ in range(16)] for _ in range(20)])
    return samples, score_set(samples, [[rng.random() for _ in range(16)] for _ in range(20)])


def test_votes_in_between_are_the_mean_over_seeded_subsets_near_the_exact_value():
    samples, prm = large()
    options = {"prm": prm, "ns": [4], "strategies": ["vote-sum"], "aggregators": ["last"]}
    seeded = compute_curves(samples, **options)
    assert not seeded.points[0].exact
    assert seeded == compute_curves(samples, **options), "the same seed, the same figures"
    assert seeded.points[0].correct != compute_curves(samples, **options, seed=1).points[0].correct
    exact = compute_curves(samples, **options, subsets=2000).points[0]  # C(16, 4) = 1820
    assert exact.exact
    for few, all_of_them in zip(seeded.points[0].correct, exact.correct, strict=True):
        assert few == pytest.approx(all_of_them, abs=0.2)  # 100 draws: standard error at most 0.05
    assert seeded.points[0].accuracy == pytest.approx(exact.accuracy, abs=0.04)


def test_a_question_has_the_same_figures_in_any_company():
    samples, prm = large()
    few = replace(samples, rows=samples.rows[5:8])
    few_prm = replace(prm, rows=prm.rows[5:8])
    whole = compute_curves(samples, prm=prm)
    part = compute_curves(few, prm=few_prm)
    for one, other in zip(whole.points, part.points, strict=True):
        assert one.correct[5:8] == pytest.approx(other.correct)


def test_large_sets_go_through_in_pieces(monkeypatch):
    samples, prm = large()
    whole = compute_curves(samples, prm=prm)
    monkeypatch.setattr("meds3core.decoding.expectation._MOST_FLOATS", 1 << 11)
    assert compute_curves(samples, prm=prm) == whole


def test_every_strategy_and_aggregator_at_every_n():
    samples, prm = large()
    orm = score_set(samples, [[0.5] * 16] * 20, kind="orm")
    curves = compute_curves(samples, prm=prm, orm=orm)
    assert {point.n for point in curves.points} == {1, 2, 4, 8, 16}
    by_prm = {(s, a) for s in ("best-of-n", "vote-sum", "vote-mean") for a in AGGREGATORS}
    expected = by_prm | {("self-consistency", None), (PASS, None), ("orm-best-of-n", OUTCOME)}
    assert {(point.strategy, point.aggregator) for point in curves.points} == expected
    single = curves.point(PASS, 1).correct
    assert all(point.correct == pytest.approx(single) for point in curves.points if point.n == 1), (
        "one sample, no choice"
    )


def test_cost_counts_a_cached_prompt_once():
    """Samples generate 10 + index tokens; the first one computes the prompt of 30; 100 scored tokens a sample."""
    samples = sample_set([[RIGHT, "1 mg", None, RIGHT]])
    prm = score_set(samples, [[0.5, 0.9, 0.1, 0.5]])
    curves = compute_curves(samples, prm=prm, ns=[1, 4], aggregators=["last"])
    one, four = curves.point("vote-sum", 1, "last"), curves.point("vote-sum", 4, "last")
    assert (one.generated_tokens, one.prompt_tokens, one.scored_tokens) == ((11.5,), (30.0,), (100.0,))
    assert (four.generated_tokens, four.prompt_tokens, four.scored_tokens) == ((46.0,), (30.0,), (400.0,))
    assert four.tokens == 446.0
    majority = curves.point("self-consistency", 4)
    assert majority.scored_tokens == (0.0,), "a majority reads no scores"


@pytest.mark.parametrize("shares", [True, False])
def test_a_reward_model_that_shares_beginnings_saves_less_on_few_samples(shares):
    """Four samples that say the same: computed once, n of them cost what all cost; computed one by one, n / 4."""
    samples = sample_set([[RIGHT] * 4])
    row = samples.rows[0]
    same = row.samples[0].model_copy(update={"bodies": (OPENER, "The answer is 6 mg."), "generated_tokens": 10})
    samples = replace(samples, rows=(row.model_copy(update={"samples": (same,) * 4}),))
    signs = len(row.question.text) + len(f"Step 0: {OPENER}\n\n"), len("Step 1: The answer is 6 mg.\n\n")
    tokens_per_sign = 10 / signs[1]
    once = round(sum(signs) * tokens_per_sign)
    prm = score_set(samples, [[0.5] * 4])
    rows = (prm.rows[0].model_copy(update={"scored_tokens": once if shares else 4 * once}),)
    curves = compute_curves(samples, prm=replace(prm, rows=rows), ns=[1, 2, 4], aggregators=["last"])
    costs = [curves.point("vote-sum", n, "last").scored_tokens[0] for n in (1, 2, 4)]
    assert costs == pytest.approx([once] * 3 if shares else [once, 2 * once, 4 * once], rel=0.01)


def test_equal_tokens_uses_as_many_samples_as_the_budget_pays_for():
    samples = sample_set([[RIGHT, "1 mg", None, RIGHT]])
    prm = score_set(samples, [[0.5, 0.9, 0.1, 0.5]])
    options = {"prm": prm, "aggregator": "last"}
    assert at_equal_tokens(samples, 3 * 111.5, "vote-sum", **options).n == 3
    assert at_equal_tokens(samples, 3 * 111.5, "vote-sum", **options).affordable == pytest.approx(3)
    assert at_equal_tokens(samples, 3 * 111.5 - 1, "vote-sum", **options).n == 2
    rich = at_equal_tokens(samples, 9999, "best-of-n", **options)
    assert rich.n == 4 and rich.affordable > 5
    poor = at_equal_tokens(samples, 5, "best-of-n", **options)
    assert poor.n == 1 and poor.affordable < 1
    assert at_equal_tokens(samples, 3 * 111.5, "self-consistency").n == 4, "it pays for no scores"
    with pytest.raises(ConfigError, match="needs an aggregator"):
        at_equal_tokens(samples, 3 * 111.5, "vote-sum", prm=prm)


def test_greedy_is_a_set_drawn_at_temperature_0_and_nothing_else():
    greedy = compute_curves(sample_set([[RIGHT], [None], ["1 mg"]], temperature=0.0))
    assert [point.strategy for point in greedy.points] == ["greedy"]
    assert greedy.points[0].correct == (1.0, 0.0, 0.0) and greedy.points[0].no_answer == (0.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match=r"temperature 1\.0"):
        compute_curves(sample_set([[RIGHT]]), strategies=["greedy"])


def test_questions_without_samples_are_named():
    failure = QuestionFailure(id="toy-9", code="context-overflow", reason="too long")
    assert compute_curves(sample_set([[RIGHT]], failures=[failure])).failed == ("toy-9",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ns": [3]}, "n = 3, but there are 2"),
        ({"strategies": ["vote-sum"]}, "needs the scores of a PRM"),
        ({"strategies": ["magic"]}, "unknown strategy"),
        ({"aggregators": ["magic"]}, "unknown aggregator"),
    ],
)
def test_what_cannot_be_computed_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        compute_curves(sample_set([[RIGHT, "1 mg"]]), **options)


def test_scores_of_other_samples_or_of_the_wrong_kind_are_refused():
    samples = sample_set([[RIGHT, "1 mg"]])
    prm = score_set(samples, [[0.5, 0.5]])
    with pytest.raises(ConfigError, match="other samples"):
        compute_curves(replace(samples, content_hash="another"), prm=prm)
    with pytest.raises(ConfigError, match="not those of a ORM"):
        compute_curves(samples, orm=prm)


def test_questions_without_gold_have_no_accuracy():
    samples = sample_set([["1 mg"]])
    row = samples.rows[0]
    open_row = row.model_copy(update={"question": row.question.without_gold()})
    with pytest.raises(ConfigError, match="no gold"):
        compute_curves(replace(samples, rows=(open_row,)))
