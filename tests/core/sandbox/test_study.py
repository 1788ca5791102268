"""The clinic study: what it compares is comparable, and it runs."""

import pytest

from meds3core.evolution.graph import External, StageRef, plan
from meds3core.evolution.loop import EvolutionInputs, evolution_graph
from meds3core.progress import NullSink
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.clinic import FAMILIES, split_of
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.study.config import SMOKE, STUDY_PRESETS, LabelVariant, StudyConfig
from meds3core.sandbox.study.graph import prefixed, seed_graph
from meds3core.sandbox.study.questions import parameters_of, validation_questions, write_study_questions
from meds3core.sandbox.study.result import StudyResult
from meds3core.sandbox.study.run import Places, Study
from meds3core.types.labels import LabelKind
from tests.core.sandbox.study_results import SOFT

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
    for section in ("wanted", "each stage was worth", "left to gain", "Kinds of step labels", "Tree search", "it took"):
        assert f" {section}" in text
    assert StudyResult.model_validate_json((tmp_path / "docs" / "results.json").read_bytes()) == result
    assert "Content-Security-Policy" in (tmp_path / "out" / "results.html").read_text()
    again = Study(config, policy_folder(), places)
    assert [cost.stages for cost in again.costs()] == [0, 0, 0]
    assert again.run(show) == result
