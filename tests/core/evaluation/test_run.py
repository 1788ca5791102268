"""A whole evaluation: chosen on validation, reported on test, stored, read back, compared."""

import json

import pytest

from meds3core.config.evaluation import EvaluationConfig, FixedStrategy
from meds3core.data.run_folder import QuestionFailure
from meds3core.errors import ConfigError
from meds3core.evaluation.accuracy import NoGold
from meds3core.evaluation.comparability import NotComparable
from meds3core.evaluation.compare import compare
from meds3core.evaluation.judging import ClinicJudge
from meds3core.evaluation.record import EvaluationFileError, read_evaluation
from meds3core.evaluation.run import Validation, evaluate
from meds3core.types.samples import QuestionSamples
from tests.core.evaluation.builders import (
    clinic_rows,
    greedy_of,
    informed_scores,
    number_question,
    row_of,
    sample_set,
    score_set,
)

JUDGE = ClinicJudge()
QUICK = EvaluationConfig(resamples=200, p_resamples=500, subsets=20)
TEST, VALIDATION = clinic_rows(60, 8), clinic_rows(54, 8, split="train", seed=3)


def scored(rows, *, noise=0.2, **options):
    samples = sample_set(rows, **options)
    return samples, {"prm": score_set(samples, informed_scores(rows, JUDGE, noise=noise))}


@pytest.fixture(scope="module")
def stored():
    samples, scores = scored(TEST)
    val_samples, val_scores = scored(VALIDATION)
    return evaluate(greedy_of(TEST), samples, scores, JUDGE, Validation(val_samples, val_scores), QUICK)


def test_every_figure_has_an_interval(stored):
    """No accuracy, share, AUROC or difference goes out as a bare number."""
    bare = {"level", "p", "first", "second", "spread", "flag_below", "temperature", "top_p", "said", "low", "high"}
    bare |= {"false_alarms", "found", "share", "steps", "first_error"}

    def walk(value, name=""):
        if isinstance(value, dict):
            if {"value", "low", "high"} <= value.keys():
                assert value["low"] <= value["value"] <= value["high"] and value["n"] >= 1
                return
            for key, inner in value.items():
                walk(inner, key)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, name)
        elif isinstance(value, float):
            assert name in bare, name

    walk(json.loads(stored.evaluation.model_dump_json()))


def test_the_strategy_is_chosen_on_validation_and_quoted_on_test(stored):
    selection = stored.evaluation.selection
    assert "54 validation questions" in selection.how and selection.chosen.n == 8
    assert selection.chosen.strategy != "pass"  # it reads the gold
    assert selection.validation.value != selection.test.value
    in_grid = next(each for each in stored.evaluation.grid if each.key == selection.chosen)
    assert in_grid.accuracy == selection.test
    # Chosen blindly: nothing of the test set decided.
    samples, scores = scored(clinic_rows(60, 8, seed=9))
    val_samples, val_scores = scored(VALIDATION)
    other = evaluate(None, samples, scores, None, Validation(val_samples, val_scores), QUICK)
    assert other.evaluation.selection.chosen == selection.chosen
    names = {(against.other.strategy, against.other.n) for against in selection.against}
    assert {("self-consistency", 1), ("greedy", 1)} <= names
    assert selection.chosen.strategy == "self-consistency" or ("self-consistency", 8) in names


def test_the_test_set_decides_nothing():
    """A reward model that is right on validation questions and wrong on test ones: chosen, and shown to fail."""
    samples, known = sample_set(TEST), sample_set(VALIDATION)
    backwards = {
        identity: row.model_copy(update={"scores": tuple(tuple(1 - v for v in each) for each in row.scores)})
        for identity, row in informed_scores(TEST, JUDGE, noise=0.05).items()
    }
    validation = Validation(known, {"prm": score_set(known, informed_scores(VALIDATION, JUDGE, noise=0.05))})
    found = evaluate(None, samples, {"prm": score_set(samples, backwards)}, None, validation, QUICK).evaluation
    assert found.selection.chosen.scorer == "prm"
    assert found.selection.test.value < max(each.accuracy.value for each in found.grid if each.key.strategy != "pass")
    assert found.selection.validation.value > found.selection.test.value + 0.2


def test_a_judge_that_knows_makes_a_prm_beat_the_vote(stored):
    by_label = {each.key.label: each.accuracy.value for each in stored.evaluation.grid}
    assert by_label["best-of-n product (prm) @8"] > by_label["self-consistency @8"]
    assert by_label["pass @8"] >= max(by_label.values())


def test_thresholds_are_chosen_on_validation(stored):
    figures = stored.evaluation.scorers["prm"]
    assert figures.thresholds.chosen_on == "54 validation questions"
    assert {(each.truth, each.scope) for each in figures.steps} == {
        (truth, scope) for truth in ("given-prefix", "absolute") for scope in ("all", "right-answers")
    }
    assert all(each.flag_below == figures.thresholds.steps for each in figures.steps)
    samples, scores = scored(TEST)
    fixed = evaluate(None, samples, scores, JUDGE, None, QUICK).evaluation.scorers["prm"].thresholds
    assert (fixed.steps, fixed.chosen_on) == (0.5, "")


def test_without_validation_the_strategy_is_fixed_beforehand():
    samples, scores = scored(TEST)
    found = evaluate(None, samples, scores, None, None, QUICK).evaluation
    assert (found.selection.chosen.strategy, found.selection.chosen.aggregator) == ("vote-sum", "last")
    assert found.selection.validation is None and "exploratory" in found.notes[0]
    config = QUICK.model_copy(update={"fixed": FixedStrategy(strategy="best-of-n", aggregator="min")})
    assert (
        evaluate(None, samples, scores, None, None, config).evaluation.selection.chosen.label
        == "best-of-n min (prm) @8"
    )
    bare = evaluate(None, samples, None, None, None, QUICK).evaluation
    assert bare.selection.chosen.label == "self-consistency @8"


def test_several_reward_models_side_by_side():
    samples = sample_set(TEST)
    scores = {
        "good": score_set(samples, informed_scores(TEST, JUDGE, noise=0.05), model="good"),
        "poor": score_set(samples, informed_scores(TEST, JUDGE, noise=0.8), model="poor"),
        "outcome": score_set(samples, informed_scores(TEST, JUDGE), kind="orm", model="orm"),
    }
    found = evaluate(None, samples, scores, JUDGE, None, QUICK).evaluation
    labels = [each.key.label for each in found.grid]
    assert len(labels) == len(set(labels))
    assert labels.count("self-consistency @8") == 1 and "orm-best-of-n (outcome) @8" in labels
    good, poor = (found.scorers[name].steps[0].auroc.value for name in ("good", "poor"))
    assert good > poor and found.scorers["outcome"].steps == ()
    assert set(found.scorers["outcome"].answer_auroc) == {"outcome"}


def test_greedy_on_more_questions_than_samples():
    more = (*TEST, *clinic_rows(90, 1)[60:])
    samples, scores = scored(TEST)
    found = evaluate(greedy_of(more), samples, scores, JUDGE, None, QUICK)
    assert found.evaluation.questions == 90 and len(found.rows) == 90
    assert found.rows[80].samples == () and found.rows[80].greedy is not None
    assert any("60 of the 90" in note for note in found.evaluation.notes)


def test_questions_that_failed_are_said():
    failure = QuestionFailure(id="lost", code="engine", reason="boom")
    found = evaluate(greedy_of(TEST, failures=[failure]), None, config=QUICK).evaluation
    assert found.failed == ("lost",) and "1 questions have no answers" in found.notes[0]


def test_what_does_not_belong_together_is_refused():
    samples, scores = scored(TEST)
    greedy = greedy_of(TEST)
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        evaluate(None, None)
    with pytest.raises(ConfigError, match="drawn at temperature 1"):
        evaluate(samples, None)
    with pytest.raises(ConfigError, match="draw both from one"):
        evaluate(greedy_of(TEST, name="other"), samples, config=QUICK)
    with pytest.raises(NotComparable, match="the prompt differs"):
        evaluate(greedy_of(TEST, prompt="plain@2"), samples, config=QUICK)
    with pytest.raises(ConfigError, match="without the samples"):
        evaluate(greedy, None, scores)
    with pytest.raises(ConfigError, match="of other samples"):
        evaluate(None, sample_set(TEST[:30]), scores, config=QUICK)
    with pytest.raises(ConfigError, match="60 of 60 validation questions are test questions"):
        evaluate(None, samples, scores, None, Validation(samples, scores), QUICK)
    with pytest.raises(ConfigError, match="same reward models"):
        evaluate(None, samples, scores, None, Validation(sample_set(VALIDATION), {}), QUICK)
    bare = [QuestionSamples(question=TEST[0].question.without_gold(), samples=TEST[0].samples)]
    with pytest.raises(NoGold):
        evaluate(None, sample_set(bare))


def test_stored_and_read_back(stored, tmp_path):
    stored.write(tmp_path / "deep" / "ev")
    assert read_evaluation(tmp_path / "deep" / "ev") == stored
    assert sorted(file.name for file in (tmp_path / "deep" / "ev").iterdir()) == ["evaluation.json", "questions.jsonl"]


def test_the_same_inputs_give_the_same_files(stored, tmp_path):
    samples, scores = scored(TEST)
    val_samples, val_scores = scored(VALIDATION)
    again = evaluate(greedy_of(TEST), samples, scores, JUDGE, Validation(val_samples, val_scores), QUICK)
    again.write(tmp_path / "a")
    stored.write(tmp_path / "b")
    for name in ("evaluation.json", "questions.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_cannot_be_read_says_where(tmp_path, stored):
    with pytest.raises(EvaluationFileError, match="no evaluation"):
        read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_text("[]")
    with pytest.raises(EvaluationFileError, match="not the JSON of an evaluation"):
        read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"format": "meds3-evaluation/0"}')
    with pytest.raises(EvaluationFileError, match="evaluate again"):
        read_evaluation(tmp_path)
    stored.write(tmp_path)
    with (tmp_path / "questions.jsonl").open("a") as file:
        file.write('{"cut')
    with pytest.raises(EvaluationFileError, match="line 61"):
        read_evaluation(tmp_path)


def test_two_evaluations_are_compared_question_by_question(stored):
    better_rows = clinic_rows(60, 8, seed=5, rate_scale=0.3)
    samples, scores = scored(better_rows, name="better")
    better = evaluate(greedy_of(better_rows, name="better"), samples, scores, JUDGE, None, QUICK)
    found = compare(stored, better)
    assert found.questions == 60 and found.second == "better"
    assert found.greedy.difference.difference.value > 0.1 and found.greedy.mcnemar is not None
    assert found.sound.difference.difference.value > 0.1
    won = sum(change.kind == "won" for change in found.changes)
    lost = len(found.changes) - won
    assert (won, lost) == (found.greedy.mcnemar.only_second, found.greedy.mcnemar.only_first)
    assert found.greedy.difference.difference.value == pytest.approx((won - lost) / 60)
    assert {each.name for each in found.domains} == {row.question.domain for row in TEST}
    assert "self-consistency @8" in {each.name for each in found.strategies}
    assert "→" in found.chosen.name or found.chosen.name == "vote-sum last (prm) @8"
    itself = compare(stored, stored)
    assert itself.greedy.difference.p == 1.0 and itself.changes == ()


def test_results_on_other_questions_are_not_compared(stored):
    few = evaluate(greedy_of(TEST[:40]), None, None, JUDGE, None, QUICK)
    with pytest.raises(NotComparable, match="20 only in the first"):
        compare(stored, few)
    shared = compare(stored, few, shared=True)
    assert shared.questions == 40 and "only the 40 shared" in shared.notes[0]
    assert shared.strategies == () and shared.chosen is None
    other_prompt = evaluate(greedy_of(TEST, prompt="plain@2"), None, None, JUDGE, None, QUICK)
    with pytest.raises(NotComparable, match="the prompt differs"):
        compare(stored, other_prompt)


def test_answers_are_judged_by_rule_in_the_stored_rows():
    """The published evaluator calls 59.7% of wrong options right, because it looks for substrings."""
    question = number_question("q", gold="4")
    found = evaluate(greedy_of([row_of(question, ("It is 44, not 4. The answer is 44.",))]), None, config=QUICK)
    assert found.rows[0].greedy.correct is False and found.evaluation.greedy.micro.value == 0.0
