"""The loop's graph, the loop itself on a few clinic questions, and the loop killed again and again."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from meds3core.cli.main import app
from meds3core.config.training import CLINIC
from meds3core.data.labels import read_card
from meds3core.data.trees import read_trees
from meds3core.errors import ConfigError
from meds3core.evolution.evolve import EvolutionCard
from meds3core.evolution.graph import External, Stage, StageRef, plan
from meds3core.evolution.loop import evolution_graph
from meds3core.evolution.run import StageRefused, run_graph
from meds3core.evolution.stages.report import EvolutionResult
from meds3core.evolution.stages.search import SEARCH, SearchStage
from meds3core.evolution.store import read_record
from tests.core.evolution.small import run, small_config, small_inputs

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return small_inputs(tmp_path_factory.mktemp("questions"))


def stages_of(inputs, **changes) -> dict[str, Stage]:
    return {stage.name: stage for stage in evolution_graph(small_config(**changes), inputs).stages}


def keys_of(inputs, **changes) -> dict[str, str]:
    planned = plan(evolution_graph(small_config(**changes), inputs).stages)
    return {name: entry.key for name, entry in planned.items()}


def source(stage: Stage, name: str) -> list[str]:
    return [one.stage if isinstance(one, StageRef) else "outside" for one in stage.inputs_of(name)]


def test_the_chain_of_the_method(inputs):
    stages = stages_of(inputs)
    starts = {name: source(stages[name], "start") for name in ("sft-1", "sft-2", "dpo-2", "prm-2")}
    assert starts == {"sft-1": ["outside"], "sft-2": ["sft-1"], "dpo-2": ["sft-2"], "prm-2": ["dpo-2"]}
    assert source(stages["search-2a"], "policy") == ["sft-1"]
    assert source(stages["sft-set-2"], "trees") == source(stages["pairs-2"], "trees") == ["trees-1", "trees-2"]
    assert source(stages["steps-2"], "trees") == ["trees-1", "trees-2"]
    assert source(stages_of(inputs, reward_trees="newest")["steps-2"], "trees") == ["trees-2"]
    assert "dpo-1" not in stages
    graph = evolution_graph(small_config(), inputs)
    assert [policy.name for policy in graph.policies] == ["base", "sft-1", "control-1", "sft-2", "dpo-2"]
    assert graph.final == "dpo-2"


def test_the_control_shares_questions_and_steps_with_its_sft(inputs):
    stages = stages_of(inputs, control="every")
    assert source(stages["control-set-1"], "labels") == ["sft-set-1"]
    assert source(stages["control-1"], "steps_of") == ["sft-1"]
    assert source(stages["control-1"], "start") == ["outside"]
    assert stages["control-1"].settings.training == stages["sft-1"].settings.training
    assert source(stages["control-samples-1"], "questions") == source(stages["search-1a"], "questions")
    draw = stages["search-1a"].settings.search.step_draw
    assert stages["control-samples-1"].settings.sampling.draw == draw, "not at the search's temperature"
    assert source(stages["control-2"], "start") == ["control-1"]
    assert source(stages["control-set-2"], "samples") == ["control-samples-1", "control-samples-2"]


def test_a_guided_iteration_uses_the_prm_before_it_and_is_never_labelled_from(inputs):
    stages = stages_of(inputs, iterations=3, guided_from=3, dpo_after="every")
    assert source(stages["search-3a"], "prm") == ["prm-2"]
    assert stages["search-3a"].settings.search.simulation == "scorer"
    assert stages["search-2a"].settings.search.simulation == "rollouts"
    assert source(stages["prm-2"], "start") == ["dpo-2"] and source(stages["prm-3"], "start") == ["dpo-3"]
    assert source(stages["prm-3"], "labels") == ["steps-2"], "a PRM's scores were used as labels"
    assert source(stages["sft-2"], "start") == ["dpo-1"]


def test_seeds_change_what_is_random_and_nothing_else(inputs):
    first, second = keys_of(inputs), keys_of(inputs, seed=1)
    same = {name for name in first if first[name] == second[name]}
    assert same == {"questions-1", "greedy-base"}
    seeds = [stages_of(inputs)[f"search-{number}a"].settings.seed for number in (1, 2)]
    assert len(set(seeds)) == 2


def test_a_changed_setting_touches_only_what_depends_on_it(inputs):
    def touched(**changes):
        before, after = keys_of(inputs), keys_of(inputs, **changes)
        return {name for name in after if after[name] != before.get(name)}

    dpo = CLINIC["dpo"].model_copy(update={"learning_rate": 1e-4})
    after_dpo = {"dpo-2", "prm-2", "greedy-dpo-2", "samples-dpo-2", "prm-scores-base", "prm-scores-dpo-2"}
    after_dpo |= {"tree-scores-2"}
    assert touched(dpo=dpo.model_dump()) == after_dpo | {"evaluation-base", "evaluation-dpo-2", "report"}
    prm = CLINIC["prm"].model_copy(update={"learning_rate": 1e-4})
    scores = {"prm-2", "prm-scores-base", "prm-scores-dpo-2", "tree-scores-2"}
    assert touched(prm=prm.model_dump()) == scores | {"evaluation-base", "evaluation-dpo-2", "report"}


def test_settings_that_contradict_each_other_are_refused(inputs):
    with pytest.raises(ValidationError, match="guided_from"):
        small_config(guided_from=2, prm=None)
    with pytest.raises(ConfigError, match="guided_from is 5, but there are 2"):
        evolution_graph(small_config(guided_from=5), inputs)


@pytest.fixture(scope="module")
def evolved(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("evolved")
    return run(inputs.questions.parent, out), out


@pytest.mark.slow
def test_the_whole_loop(evolved, inputs):
    loop, out = evolved
    result = EvolutionResult.model_validate_json((out / "result.json").read_bytes())
    assert result == loop.result
    assert [stage.name for stage in result.stages] == ["base", "sft-1", "control-1", "sft-2", "dpo-2"]
    assert all(stage.accuracy.n == 5 and stage.sound is not None for stage in result.stages)
    assert re.fullmatch(r"base 0\.\d{3} \[.*\] → dpo-2 .*, p .*, 5 questions", result.summary)
    assert [(one.first, one.second) for one in result.versus] == [("control-1", "sft-1"), ("control-1", "dpo-2")]
    assert set(result.strategies) == {"base", "dpo-2"}
    assert "seconds" not in (out / "result.json").read_text()
    assert result.summary.split(":")[0] in (out / "report.html").read_text()
    figures = {name: stage.figures for name, stage in loop.stages.items()}
    assert figures["control-1"]["steps"] == figures["sft-1"]["steps"]
    kept = [read_card(loop.stages[f"{name}-set-1"].folder / "labels").counts.kept for name in ("sft", "control")]
    assert kept[0] == kept[1]
    assert loop.final_policy.name == "dpo-2" and (loop.final_policy / "model.safetensors").exists()
    assert loop.prm is not None and json.loads((loop.prm / "meds3.json").read_text())["role"] == "prm"
    card = EvolutionCard.model_validate_json((out / "evolution.json").read_bytes())
    assert {stage.name for stage in card.stages} == set(loop.stages)
    assert len(set(result.policy_hashes.values())) == 5, "a training moved nothing"


@pytest.mark.slow
def test_a_guided_search_uses_and_names_its_reward_model(evolved, inputs, tmp_path):
    loop, _ = evolved
    search = small_config().search.model_copy(update={"simulation": "scorer"})
    stages = [
        Stage(
            name,
            SEARCH,
            SearchStage(search=search, engine=small_config().engine, limit=2),
            {"questions": External(inputs.questions), "policy": External(loop.final_policy), "prm": External(prm)},
        )
        for name, prm in (("one", loop.prm), ("other", loop.stages["sft-1"].folder / "sft-1"))
    ]
    folder = run_graph(stages[:1], tmp_path)["one"].folder
    manifest = json.loads((folder / "search.json").read_text())
    assert manifest["scorer"]["model"] == "prm-2"
    trees = list(read_trees(folder / "trees.jsonl"))
    valued = [node.rollout_value for tree in trees for node in tree.nodes[1:] if node.rollout_value is not None]
    assert valued and not any(node.outcomes for tree in trees for node in tree.nodes)
    with pytest.raises(StageRefused, match="stage other"):
        run_graph(stages[1:], tmp_path)


@pytest.mark.slow
def test_merged_shares_are_in_question_order(evolved):
    loop, _ = evolved
    rows = (loop.stages["questions-1"].folder / "questions.jsonl").read_text().splitlines()
    trees = (loop.stages["trees-1"].folder / "trees.jsonl").read_text().splitlines()
    assert [json.loads(tree)["question"]["id"] for tree in trees] == [json.loads(row)["id"] for row in rows]


@pytest.mark.slow
def test_the_command_plans_and_finds_what_is_done(evolved, inputs, tmp_path):
    _, out = evolved
    config = small_config()
    given = ["evolve", "--questions", str(inputs.questions), "--held-out", str(inputs.held_out), "--plan"]
    settings = ["engine", "questions", "search", "sft_labels", "sft", "dpo", "prm", "evaluation"]
    changes = [f"{name}={getattr(config, name).model_dump_json()}" for name in settings]
    given += [part for change in changes for part in ("--set", change)]
    done = CliRunner().invoke(app, [*given, "--out", str(out)])
    assert "35 of 35 stages are done" in done.output, done.output
    fresh = CliRunner().invoke(app, [*given, "--out", str(tmp_path)])
    assert "0 of 35 stages are done" in fresh.output
    other = CliRunner().invoke(app, [*given, "--out", str(out), "--set", "prm.learning_rate=1e-4"])
    assert "28 of 35 stages are done" in other.output


def test_bad_input_is_refused_before_any_work(inputs, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    command = [sys.executable, "-m", "meds3core.cli.main", "evolve", "--out", str(tmp_path / "out")]
    for more, words in (
        (["--questions", str(bad), "--held-out", str(inputs.held_out)], "1 bad row"),
        (["--questions", str(inputs.questions), "--held-out", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["--questions", str(inputs.questions), "--held-out", str(inputs.held_out), "--preset", "no"], "no preset"),
        (["--questions", str(inputs.questions), "--held-out", str(inputs.held_out), "--policy", "/no"], "no such"),
    ):
        done = subprocess.run([*command, *more], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 2 and words in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_loop_killed_at_ten_random_moments_gives_the_same_result(evolved, inputs, tmp_path):
    """Moments are numbers of events, so that every attempt gets somewhere; a restart repeats at most a checkpoint's
    worth of work and its results are the same to the last byte."""
    _, undisturbed = evolved
    moments = random.Random(3)
    command = [sys.executable, "-m", "tests.core.evolution.small", str(inputs.questions.parent), str(tmp_path)]
    kills, stages_hit = 0, set()
    while kills < 10:
        left = moments.randint(2, 25)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            for line in process.stdout:
                left -= 1
                if left <= 0:
                    stages_hit.add(line.split()[-1])
                    process.kill()
                    break
        if process.returncode == 0:
            break
        kills += 1
    assert kills == 10, "the loop was done before it was killed ten times"
    assert len(stages_hit) > 3
    run(inputs.questions.parent, tmp_path)
    assert (tmp_path / "result.json").read_bytes() == (undisturbed / "result.json").read_bytes()
    finished = sorted(path.name for path in (tmp_path / "stages").iterdir() if path.name != ".locks")
    assert finished == sorted(path.name for path in (undisturbed / "stages").iterdir() if path.name != ".locks")


@pytest.mark.slow
def test_a_stage_of_a_finished_loop_can_be_relied_upon(evolved, inputs):
    _, out = evolved
    for entry in plan(evolution_graph(small_config(), inputs).stages).values():
        record = read_record(out / "stages", entry.folder, entry.key)
        assert record is not None and record.name == entry.stage.name and not record.resumed
        assert not list((out / "stages" / entry.folder).rglob("*.part*"))
