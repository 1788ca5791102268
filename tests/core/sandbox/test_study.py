"""The clinic study: what it compares is comparable, what it concludes follows from the figures, and it runs."""

import re
from datetime import date

import pytest

from meds3core.evaluation.judging import StepTruth
from meds3core.evaluation.paired import paired_over_seeds
from meds3core.evaluation.stages import StageOutcomes, stage_figures
from meds3core.evaluation.steps import FlagThresholds, JudgedTrajectory, step_figures
from meds3core.evolution.graph import External, StageRef, plan
from meds3core.evolution.loop import EvolutionInputs, evolution_graph
from meds3core.progress import NullSink
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.clinic import FAMILIES, split_of
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.study.compared import best_variants, compared, difference
from meds3core.sandbox.study.conclusions import best_words, claim_words, iteration_words, tree_words, verdict
from meds3core.sandbox.study.config import SMOKE, STUDY_PRESETS, LabelVariant, StudyConfig
from meds3core.sandbox.study.graph import prefixed, seed_graph
from meds3core.sandbox.study.page import page_text
from meds3core.sandbox.study.questions import parameters_of, validation_questions, write_study_questions
from meds3core.sandbox.study.result import StudyResult, label_study, mean_of_draws, reward_line, tree_study
from meds3core.sandbox.study.reward import CONSENSUS, Area, AtN, Choice, PolicyReward, RewardFigures, _area
from meds3core.sandbox.study.run import Places, Study
from meds3core.sandbox.study.tree import Rival, TreeFigures
from meds3core.sandbox.study.wanted import wanted_figures
from meds3core.types.labels import LabelKind

IDS = tuple(f"q{number:03d}" for number in range(100))
TODAY = date(2026, 1, 2)
DUAL = LabelVariant(label=LabelKind.DUAL, source="rollout")
SOFT = LabelVariant(label=LabelKind.SOFT, source="rollout")
HARD = LabelVariant(label=LabelKind.HARD, source="rollout")
SOFT_BACKUP = LabelVariant(label=LabelKind.SOFT, source="backup")
SOFT_8 = LabelVariant(label=LabelKind.SOFT, source="rollout", rollouts=8)


# questions


@pytest.mark.parametrize("seed", [1, 2])
def test_validation_questions_share_no_parameters_with_held_out_ones(seed):
    held_out = generate("test", 400, 1)
    chosen = validation_questions(held_out, 200, seed)
    taken = {parameters_of(case_of(question)) for question in held_out}
    assert not taken & {parameters_of(case_of(question)) for question in chosen}
    plain = {parameters_of(case_of(question)) for question in generate("test", 200, 2)}
    assert taken & plain, "without the exclusion they would share some"
    for question in chosen:
        case = case_of(question)
        assert split_of(FAMILIES[case.family], case.facts) == "test"
    assert len({question.text for question in chosen}) == 200
    assert not {question.id for question in chosen} & {question.id for question in held_out}
    assert {question.domain for question in chosen} == set(FAMILIES)


# the graph


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    files = write_study_questions(SMOKE, tmp_path_factory.mktemp("questions"), policy_folder())
    return [seed_graph(SMOKE, files, seed) for seed in SMOKE.seeds]


def test_prefixes_change_names_and_no_key(graphs):
    files = graphs[0].files
    inputs = EvolutionInputs(files.training[1], files.policy, files.held_out, files.validation)
    stages = evolution_graph(SMOKE.loop, inputs).stages
    before, after = plan(stages), plan(prefixed(stages, "x."))
    assert {f"x.{name}": entry.key for name, entry in before.items()} == {
        name: entry.key for name, entry in after.items()
    }


def test_seeds_differ_in_everything_but_the_base_s_greedy_answers(graphs):
    keys = [
        {stage.name.removeprefix(graph.prefix): entry.key for stage, entry in _planned(graph.stages)}
        for graph in graphs
    ]
    same = {name for name in keys[0] if keys[0][name] == keys[1][name]}
    assert same == {"greedy-base", "evaluation-base"}


def _planned(stages):
    entries = plan(stages)
    return [(entry.stage, entry) for entry in entries.values()]


def test_reward_models_differ_in_their_labels_only(graphs):
    graph = graphs[0]
    stages = [*graph.stages]
    for variant in SMOKE.variants:
        stages += graph.reward_stages(variant, None)
    by_name = {stage.name: stage for stage in stages}
    models = [by_name[graph.model_stage(variant)] for variant in SMOKE.variants]
    assert len({stage.name for stage in models}) == len(SMOKE.variants)
    for stage in models:
        assert stage.inputs["start"] == graph.reference.inputs["start"]
        assert stage.settings.training == graph.reference.settings.training
        assert stage.inputs["steps_of"] == StageRef(graph.reference.name, "stage.json")
        labels = by_name[stage.inputs["labels"].stage]
        assert labels.inputs == graph.reference_labels.inputs
    settings = [by_name[stage.inputs["labels"].stage].settings for stage in models]
    assert [each.labels.label for each in settings] == [variant.label for variant in SMOKE.variants]
    assert [each.rollouts for each in settings] == [None, 1, None]
    assert [each.judge_error_rate for each in settings] == [0.0, 0.0, 0.1]


def test_the_loop_s_own_labels_are_not_trained_twice(graphs):
    graph = graphs[0]
    own = SMOKE.loop.step_labels
    same = LabelVariant(label=own.label, source=own.source, threshold=own.threshold, rollouts=2)
    (only,) = graph.reward_stages(same, None)
    assert only.inputs["model"].stage == graph.reference.name


def test_samples_of_the_base_are_asked_of_the_given_policy(graphs):
    by_name = {stage.name: stage for stage in graphs[0].stages}
    assert by_name["1.samples-base"].inputs["policy"] == External(policy_folder())
    assert by_name["1.samples-final"].inputs["policy"] == StageRef("1.dpo-2", "dpo-2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ns": (32,)}, "ns asks for 32 samples"),
        ({"variants": (SOFT,)}, "more rollouts than every node stores"),
        ({"seeds": (1, 1)}, "two seeds are the same"),
        ({"loop": SMOKE.loop.model_copy(update={"prm": None})}, "loop.prm is none"),
    ],
)
def test_settings_that_cannot_work_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        StudyConfig.model_validate(SMOKE.model_dump() | change)


def test_the_full_protocol_measures_every_kind_with_4_8_and_16_rollouts():
    full = STUDY_PRESETS["full"]
    assert (len(full.seeds), full.held_out, full.validation) == (3, 1000, 500)
    kinds = {each.kind for each in full.variants if each.label is not LabelKind.HUMAN}
    assert {each.label for each in full.variants} == set(LabelKind)
    for count in (4, 8, 16):
        assert {each.kind for each in full.variants if each.rollouts == count} >= kinds
    assert full.loop.search.rollouts == full.loop.search.min_rollouts == 16


# figures made by hand


def _trajectories(scores, right_answer=True):
    """Question i has one step that is right and one that is wrong, with these scores."""
    right = StepTruth(right_absolutely=True, right_given_prefix=True)
    wrong = StepTruth(right_absolutely=False, right_given_prefix=False)
    return [JudgedTrajectory(IDS[number], pair, (right, wrong), right_answer) for number, pair in enumerate(scores)]


def _reward(share, area=0.8, *, validation=None, validation_area=None, consensus=0.5, spread=0.01):
    """A reward model that is right on the first `share` of all questions, for both policies."""
    count = len(IDS)
    draws = tuple(area + spread * ((number % 21) - 10) / 10 for number in range(100))
    policies = []
    for policy in ("base", "final"):
        policies.append(
            PolicyReward(
                policy=policy,
                choice=Choice(strategy="vote-sum", aggregator="min", accuracy=validation or share, consensus=consensus),
                validation_area=validation_area or area,
                question_ids=IDS,
                by_n=tuple(
                    AtN(n=n, chosen=_first(share, count), consensus=_first(consensus, count), oracle=0.9)
                    for n in (4, 16)
                ),
                areas=tuple(
                    Area(truth=truth, scope=scope, value=area - less, draws=tuple(one - less for one in draws))
                    for truth in ("absolute", "given-prefix")
                    for scope, less in (("all", 0.0), ("right-answers", 0.1))
                ),
                thresholds=FlagThresholds(),
                found=step_figures(_trajectories([(0.9, 0.2)] * 5), "absolute", resamples=100),
            )
        )
    return RewardFigures(policies=tuple(policies))


def _first(share, count):
    return tuple(float(number < round(share * count)) for number in range(count))


def _outcomes(name, after, *shares, sound=None):
    runs = tuple(dict(zip(IDS, _first(share, len(IDS)), strict=True)) for share in shares)
    sounds = tuple(dict(zip(IDS, _first(each, len(IDS)), strict=True)) for each in (sound or shares))
    return StageOutcomes(name=name, after=after, right=runs, sound=sounds)


def _result(*, sft=(0.6, 0.62), control=(0.42, 0.41), final=(0.6, 0.62), measured=None, **changes):
    outcomes = [
        _outcomes("base", "", 0.4),
        _outcomes("sft-1", "base", *sft),
        _outcomes("control-1", "base", *control),
        _outcomes("dpo-2", "sft-1", *final),
    ]
    measured = measured or {DUAL: [_reward(0.6)] * 2, SOFT: [_reward(0.55)] * 2}
    seeds = len(sft)
    fields = {
        "config": STUDY_PRESETS["full"],
        "seeds": tuple(range(1, seeds + 1)),
        "finished": True,
        "final": "dpo-2",
        "stages": stage_figures(outcomes),
        "against_first": (("dpo-2", paired_over_seeds(outcomes[1].right, outcomes[3].right)),),
        "chosen": best_variants(STUDY_PRESETS["full"], measured),
        "kept": label_study(measured),
    }
    return StudyResult(**(fields | changes))


def _met(result):
    return {line.wanted: line.met for line in wanted_figures(result)}


def test_wanted_figures_are_met_or_not_by_rule():
    met = _met(_result())
    assert all(met[name] for name in met if "AUROC" not in name)
    assert met["step-error AUROC at least 0.85 overall, samples of base"] is False
    better = _met(_result(measured={DUAL: [_reward(0.6, 0.86)] * 2}))
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
        ({"measured": {DUAL: [_reward(0.5)] * 2}}, "beats self-consistency"),  # exactly as good
    ],
)
def test_what_is_not_reached_is_said_plainly(changes, part):
    result = _result(**changes)
    missed = [line for line in wanted_figures(result) if part in line.wanted]
    assert missed and not any(line.met for line in missed)
    rows = [line for line in page_text(result, TODAY).splitlines() if part in line and line.startswith("| ")]
    assert rows and all("**not met**" in row for row in rows)


def test_a_greater_gain_that_chance_explains_is_not_met():
    few = {name: float(number < 4) for number, name in enumerate(IDS[:10])}
    more = {name: float(number in (0, 1, 2, 4, 5, 6)) for number, name in enumerate(IDS[:10])}
    outcomes = [
        StageOutcomes(name="base", right=(few,)),
        StageOutcomes(name="sft-1", after="base", right=(more,)),
    ]
    line = wanted_figures(_result(stages=stage_figures(outcomes), against_first=()))[0]
    assert line.measured.startswith("+20.0") and line.met is False


def test_what_was_not_measured_is_neither_met_nor_missed():
    result = _result(chosen=None, kept=None, finished=False)
    assert {line.met for line in wanted_figures(result) if "AUROC" in line.wanted} == {None}
    text = page_text(result, TODAY)
    assert "| not measured |" in text and "The study is not finished" in text


def test_one_seed_is_called_one_seed():
    text = page_text(_result(sft=(0.6,), control=(0.4,), final=(0.6,)), TODAY)
    assert "one seed only (1)" in text and "not how another search and training would" in text
    assert "one seed only" not in page_text(_result(), TODAY)


def test_the_page_is_a_function_of_its_figures():
    assert page_text(_result(), TODAY) == page_text(_result(), TODAY)
    text = page_text(_result(), TODAY)
    assert "2026-01-02" in text and "(seeds +20.0, +22.0)" in text
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.M)
    assert len(tables) >= 6
    for table in tables:
        assert len({line.count(" | ") for line in table.strip().splitlines()}) == 1


# conclusions


def test_ties_are_not_called_the_best():
    words = best_words(compared("selection", {DUAL: [_reward(0.6)], SOFT: [_reward(0.6)]}))
    assert "none of the 1 others can be told from it" in words
    words = best_words(compared("selection", {DUAL: [_reward(0.6)], SOFT: [_reward(0.5)]}))
    assert "`dual`" in words and "**beyond the interval** ahead of all 1 others" in words
    measured = {DUAL: [_reward(0.6)], SOFT: [_reward(0.6)], HARD: [_reward(0.4)]}
    words = best_words(compared("selection", measured))
    assert "not to be told from it**: `soft`" in words and "1 are worse, the nearest `hard, t = 0`" in words


def test_areas_are_compared_on_the_same_resamples():
    one, other = [_reward(0.5, 0.80, spread=0.2)], [_reward(0.5, 0.79, spread=0.2)]
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
    measured = {DUAL: [_reward(dual)], SOFT: [_reward(soft)], HARD: [_reward(hard)]}
    assert words in claim_words(label_study(measured))


def test_the_dual_label_is_compared_under_equal_conditions_only():
    study = label_study({DUAL: [_reward(0.6)], SOFT_BACKUP: [_reward(0.5)], SOFT_8: [_reward(0.5)]})
    assert study.claims == ()
    assert "no soft or hard labels under equal conditions" in claim_words(study)


def test_kinds_are_kept_by_validation_questions_alone():
    config = STUDY_PRESETS["full"].model_copy(update={"kept": 2, "always": ()})
    measured = {
        DUAL: [_reward(0.9, 0.9, validation=0.5, validation_area=0.6)],
        SOFT: [_reward(0.4, 0.5, validation=0.7, validation_area=0.6)],
        SOFT_BACKUP: [_reward(0.4, 0.5, validation=0.65, validation_area=0.6)],
        SOFT_8: [_reward(0.4, 0.5, validation=0.99, validation_area=0.99)],  # not with all rollouts
        HARD: [_reward(0.4, 0.5, validation=0.4, validation_area=0.8)],
    }
    kept = best_variants(config, measured)
    assert kept.variants == (SOFT, HARD)  # the best for choosing, the best for finding; each kind once
    assert (kept.selection, kept.finding) == (SOFT, HARD)
    always = best_variants(config.model_copy(update={"always": (LabelKind.DUAL,)}), measured)
    assert always.variants == (SOFT, HARD, DUAL)


def test_iteration_2_that_brings_nothing_is_said_with_its_evidence():
    words = " ".join(iteration_words(_result()))
    assert "neither gain nor loss that these questions can show" in words
    assert "Headroom is left: one of 16 samples of the last policy is right for 90.0%" in words
    assert "Headroom" not in " ".join(iteration_words(_result(final=(0.7, 0.7))))
    assert "a loss beyond the interval" in " ".join(iteration_words(_result(final=(0.5, 0.5))))


# several seeds


def test_means_over_seeds_keep_each_seed_s_own():
    line = reward_line(DUAL, "final", [_reward(0.6, 0.8), _reward(0.5, 0.7)])
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
    one = _area(_trajectories(some), places, "absolute", "all", 200, 3)
    other = _area([*_trajectories(some), *nothing], places, "absolute", "all", 200, 3)
    assert one.value == other.value == pytest.approx(0.6)  # 14 of 25 pairs and two ties
    assert one.draws == other.draws and len(one.draws) == 200 and len(set(one.draws)) > 20
    five = {name: places[name] for name in IDS[:5]}
    assert _area(_trajectories(some), five, "absolute", "all", 200, 3).draws != one.draws
    assert _area(_trajectories(some, right_answer=False), places, "absolute", "right-answers", 10, 0).value is None


def test_tree_search_is_paired_with_each_rival():
    def run(tree, rival, strategy):
        rivals = [
            Rival(role=role, name=name, n=7, affordable=7.5, tokens=700.0, right=_first(rival, len(IDS)))
            for role, name in (("chosen", strategy), ("best-of-n", "best-of-n min"), (CONSENSUS, CONSENSUS))
        ]
        return TreeFigures(
            question_ids=IDS,
            right=_first(tree, len(IDS)),
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


# the whole


class _Quietly:
    def __init__(self, part):
        self.part = part

    def __enter__(self):
        return NullSink()

    def __exit__(self, *error):
        return None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_runs_writes_its_page_and_is_not_done_twice(tmp_path):
    config = SMOKE.model_copy(update={"seeds": (1,), "variants": SMOKE.variants[::2]})
    places = Places(out=tmp_path / "out", store=tmp_path / "store", page=tmp_path / "docs" / "results.md")
    parts = []

    def show(part):
        parts.append(part.title)
        return _Quietly(part)

    study = Study(config, policy_folder(), places, parallel=2)
    assert sum(cost.stages for cost in study.costs()) > 35 and study.seconds_left() > 10
    result = study.run(show)
    assert len(parts) == 3 and result.finished and result.seeds == (1,)
    text = places.page.read_text()
    assert "one seed only (1)" in text and "18 held-out questions" in text
    for section in ("What was wanted", "each stage was worth", "Kinds of step labels", "Tree search", "What it took"):
        assert f" {section}" in text
    assert StudyResult.model_validate_json((tmp_path / "docs" / "results.json").read_bytes()) == result
    assert "Content-Security-Policy" in (tmp_path / "out" / "results.html").read_text()
    again = Study(config, policy_folder(), places)
    assert [cost.stages for cost in again.costs()] == [0, 0, 0]
    assert again.run(show) == result
