"""What the clinic study concludes follows from the figures, whatever they are."""

import re

import pytest

from meds3core.evaluation.stages import StageOutcomes, stage_figures
from meds3core.evaluation.steps import JudgedTrajectory
from meds3core.sandbox.study.charts import write_charts
from meds3core.sandbox.study.compared import best_variants, compared, difference
from meds3core.sandbox.study.conclusions import best_words, claim_words, iteration_words, tree_words, verdict
from meds3core.sandbox.study.config import STUDY_PRESETS
from meds3core.sandbox.study.page import page_text
from meds3core.sandbox.study.result import label_study, mean_of_draws, reward_line, tree_study
from meds3core.sandbox.study.reward import CONSENSUS, _area
from meds3core.sandbox.study.tree import Rival, TreeFigures
from meds3core.sandbox.study.wanted import wanted_figures
from meds3core.types.labels import LabelKind
from tests.core.sandbox.study_results import (
    DUAL,
    HARD,
    IDS,
    SOFT,
    SOFT_8,
    SOFT_BACKUP,
    TODAY,
    make_result,
    make_reward,
    make_trajectories,
    right_on_first,
)

# what was wanted


def _met(result):
    return {line.wanted: line.met for line in wanted_figures(result)}


def test_wanted_figures_are_met_or_not_by_rule():
    met = _met(make_result())
    assert all(met[name] for name in met if "AUROC" not in name)
    assert met["step-error AUROC at least 0.85 overall, samples of base"] is False
    better = _met(make_result(measured={DUAL: [make_reward(0.6, 0.86)] * 2}))
    assert better["step-error AUROC at least 0.85 overall, samples of base"] is True
    assert better["step-error AUROC at least 0.72 inside right answers, samples of final"] is True


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sft": (0.5, 0.5)}, "greedy at least"),  # +10 points
        ({"sft": (0.54, 0.54)}, "every step right"),  # +14
        ({"control": (0.47, 0.47)}, "a quarter"),  # 7 of 21 points
        ({"sft": (0.3, 0.3), "control": (0.2, 0.2)}, "a quarter"),  # no gain to be a quarter of
        ({"final": (0.5, 0.5)}, "no loss"),
        ({"measured": {DUAL: [make_reward(0.5)] * 2}}, "beats self-consistency"),  # exactly as good
    ],
)
def test_what_is_not_reached_is_said_plainly(changes, part):
    result = make_result(**changes)
    missed = [line for line in wanted_figures(result) if part in line.wanted]
    assert missed and not any(line.met for line in missed)
    rows = [line for line in page_text(result, TODAY).splitlines() if part in line and line.startswith("| ")]
    assert rows and all("**not met**" in row for row in rows)


def test_only_misses_stand_out(tmp_path):
    """With charts: a badge per figure that was missed, and a warning only where the study is not whole."""
    whole = make_result(sft=(0.6, 0.62, 0.6), control=(0.42, 0.41, 0.4), final=(0.6, 0.62, 0.6))
    goals = wanted_figures(whole)
    assert {True, False} == {line.met for line in goals}
    page = _charts(whole, tmp_path)
    assert page.count('class="badge wrong">not met<') == sum(line.met is False for line in goals)
    assert page.count('class="muted">met<') == sum(line.met is True for line in goals)
    assert 'class="note" role="status"' not in page
    assert "The paper&#39;s claim for the dual label holds" in page
    unfinished = _charts(make_result(finished=False, kept=None, chosen=None), tmp_path)
    assert unfinished.count('class="note" role="status"') == 2
    assert "not finished" in unfinished and "Two seeds only" in unfinished
    assert 'class="muted">not measured<' in unfinished
    rows = [line for line in page_text(whole, TODAY).splitlines() if line.startswith("| ")]
    assert any(row.endswith("| met |") for row in rows) and any(row.endswith("| **not met** |") for row in rows)


def _charts(result, folder):
    write_charts(result, folder / "results.html")
    return (folder / "results.html").read_text(encoding="utf-8")


def test_a_greater_gain_that_chance_explains_is_not_met():
    few = {name: float(number < 4) for number, name in enumerate(IDS[:10])}
    more = {name: float(number in (0, 1, 2, 4, 5, 6)) for number, name in enumerate(IDS[:10])}
    outcomes = [
        StageOutcomes(name="base", right=(few,)),
        StageOutcomes(name="sft-1", after="base", right=(more,)),
    ]
    line = wanted_figures(make_result(stages=stage_figures(outcomes), against_first=()))[0]
    assert line.measured.startswith("+20.0") and line.met is False


def test_what_was_not_measured_is_neither_met_nor_missed():
    result = make_result(chosen=None, kept=None, finished=False)
    assert {line.met for line in wanted_figures(result) if "AUROC" in line.wanted} == {None}
    text = page_text(result, TODAY)
    assert "| not measured |" in text and "The study is not finished" in text


def test_one_seed_is_called_one_seed():
    text = page_text(make_result(sft=(0.6,), control=(0.4,), final=(0.6,)), TODAY)
    assert "one seed only (1)" in text and "not how another search and training would" in text
    assert "one seed only" not in page_text(make_result(), TODAY)


def test_the_page_is_a_function_of_its_figures():
    assert page_text(make_result(), TODAY) == page_text(make_result(), TODAY)
    text = page_text(make_result(), TODAY)
    assert "2026-01-02" in text and "(seeds +20.0, +22.0)" in text
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)
    assert len(tables) >= 6
    for table in tables:
        assert len({line.count(" | ") for line in table.strip().splitlines()}) == 1


# conclusions


def test_ties_are_not_called_the_best():
    words = best_words(compared("selection", {DUAL: [make_reward(0.6)], SOFT: [make_reward(0.6)]}))
    assert "none of the 1 others can be told from it" in words
    words = best_words(compared("selection", {DUAL: [make_reward(0.6)], SOFT: [make_reward(0.5)]}))
    assert "`dual`" in words and "**beyond the interval** ahead of all 1 others" in words
    measured = {DUAL: [make_reward(0.6)], SOFT: [make_reward(0.6)], HARD: [make_reward(0.4)]}
    words = best_words(compared("selection", measured))
    assert "not to be told from it**: `soft`" in words and "1 are worse, the nearest `hard, t = 0`" in words


def test_areas_are_compared_on_the_same_resamples():
    one, other = [make_reward(0.5, 0.80, spread=0.2)], [make_reward(0.5, 0.79, spread=0.2)]
    found = difference("finding", one, other)
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01) and found.high == pytest.approx(0.01)  # the noise is shared
    assert verdict(found) == "better"


@pytest.mark.parametrize(
    ("dual", "soft", "hard", "words"),
    [
        (0.6, 0.5, 0.5, "**holds**"),
        (0.5, 0.6, 0.5, "**does not hold**"),
        (0.5, 0.6, 0.6, "**does not hold**"),
        (0.5, 0.5, 0.5, "**is not confirmed**"),
        (0.6, 0.5, 0.6, "**holds in part**"),
        (0.55, 0.5, 0.6, "**is mixed**"),
    ],
)
def test_the_claim_for_the_dual_label(dual, soft, hard, words):
    measured = {DUAL: [make_reward(dual)], SOFT: [make_reward(soft)], HARD: [make_reward(hard)]}
    assert words in claim_words(label_study(measured))


def test_the_dual_label_is_compared_under_equal_conditions_only():
    study = label_study({DUAL: [make_reward(0.6)], SOFT_BACKUP: [make_reward(0.5)], SOFT_8: [make_reward(0.5)]})
    assert study.claims == ()
    assert "no soft or hard labels under equal conditions" in claim_words(study)


def test_kinds_are_kept_by_validation_questions_alone():
    config = STUDY_PRESETS["full"].model_copy(update={"kept": 2, "always": ()})
    measured = {
        DUAL: [make_reward(0.9, 0.9, validation=0.5, validation_area=0.6)],
        SOFT: [make_reward(0.4, 0.5, validation=0.7, validation_area=0.6)],
        SOFT_BACKUP: [make_reward(0.4, 0.5, validation=0.65, validation_area=0.6)],
        SOFT_8: [make_reward(0.4, 0.5, validation=0.99, validation_area=0.99)],  # not with all rollouts
        HARD: [make_reward(0.4, 0.5, validation=0.4, validation_area=0.8)],
    }
    kept = best_variants(config, measured)
    assert kept.variants == (SOFT, HARD)  # the best for choosing, the best for finding; each kind once
    assert (kept.selection, kept.finding) == (SOFT, HARD)
    always = best_variants(config.model_copy(update={"always": (LabelKind.DUAL,)}), measured)
    assert always.variants == (SOFT, HARD, DUAL)


def test_iteration_2_that_brings_nothing_is_said_with_its_evidence():
    words = " ".join(iteration_words(make_result()))
    assert "neither gain nor loss that these questions can show" in words
    assert "Headroom is left: one of 16 samples of the last policy is right for 90.0%" in words
    assert "Headroom" not in " ".join(iteration_words(make_result(final=(0.7, 0.7))))
    assert "a loss beyond the interval" in " ".join(iteration_words(make_result(final=(0.5, 0.5))))


# several seeds


def test_means_over_seeds_keep_each_seed_s_own():
    line = reward_line(DUAL, "final", [make_reward(0.6, 0.8), make_reward(0.5, 0.7)])
    assert line.last.n == 16
    assert [round(seed.difference.value, 3) for seed in line.last.difference.seeds] == [0.1, 0.0]
    assert line.last.difference.mean.difference.value == pytest.approx(0.05)
    area = line.area("absolute", "all")
    assert area.seeds == (0.8, 0.7) and area.mean.value == pytest.approx(0.75)


def test_the_interval_of_a_mean_area_is_that_of_its_resamples():
    shared = mean_of_draws([0.5, 0.5], [[0.4, 0.6] * 50] * 2, 10)
    assert (shared.low, shared.high) == (0.4, 0.6)
    opposed = mean_of_draws([0.5, 0.5], [[0.4, 0.6] * 50, [0.6, 0.4] * 50], 10)
    assert (opposed.low, opposed.high) == (0.5, 0.5)
    assert mean_of_draws([0.5, None], [[0.5], []], 10) is None


def test_every_reward_model_sees_the_same_resamples_of_the_questions():
    """The second scores the steps of the first five questions alike; it has no steps of the others."""
    places = {name: place for place, name in enumerate(IDS[:10])}
    some = [(0.9, 0.2), (0.4, 0.6), (0.8, 0.7), (0.3, 0.5), (0.9, 0.9)]
    nothing = [JudgedTrajectory(name, (), (), True) for name in IDS[5:10]]
    one = _area(make_trajectories(some), places, "absolute", "all", 200, 3)
    other = _area([*make_trajectories(some), *nothing], places, "absolute", "all", 200, 3)
    assert one.value == other.value == pytest.approx(0.6)  # 14 of 25 pairs and two ties
    assert one.draws == other.draws and len(one.draws) == 200 and len(set(one.draws)) > 20
    five = {name: places[name] for name in IDS[:5]}
    assert _area(make_trajectories(some), five, "absolute", "all", 200, 3).draws != one.draws
    assert _area(make_trajectories(some, right_answer=False), places, "absolute", "right-answers", 10, 0).value is None


def test_tree_search_is_paired_with_each_rival():
    def run(tree, rival, strategy):
        rivals = [
            Rival(role=role, name=name, n=7, affordable=7.5, tokens=700.0, right=right_on_first(rival, len(IDS)))
            for role, name in (("chosen", strategy), ("best-of-n", "best-of-n min"), (CONSENSUS, CONSENSUS))
        ]
        return TreeFigures(
            question_ids=IDS,
            right=right_on_first(tree, len(IDS)),
            tokens=750.0,
            generated_tokens=200.0,
            nodes=9.0,
            rivals=tuple(rivals),
        )

    study = tree_study([run(0.6, 0.5, "vote-sum min"), run(0.5, 0.5, "vote-mean last")])
    assert study.rivals[0].names == ("vote-sum min", "vote-mean last") and study.rivals[0].enough
    assert study.rivals[0].difference.mean.difference.value == pytest.approx(0.05)
    assert tree_words(study).startswith("At equal tokens tree search is better than the strategy chosen on validation")
    level = tree_study([run(0.5, 0.5, "vote-sum min")])
    assert "not to be told from best-of-n" in tree_words(level)
