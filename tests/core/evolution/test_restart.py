"""A loop that goes on from another one's stages: what is taken over, what is done anew, what may not be relied upon."""

import pytest

from meds3core.errors import ConfigError
from meds3core.evolution.graph import Stage, StageRef, plan
from meds3core.evolution.loop import EvolutionInputs, Sizes, evolution_graph
from meds3core.evolution.restart import done_anew, left_alone, take_over
from meds3core.evolution.run import run_graph
from meds3core.evolution.store import finished_folder
from tests.core.evolution.cheap import ADD, AddStage
from tests.core.evolution.small import small_config, small_inputs


def chain(*, middle: int = 2) -> list[Stage]:
    """one → two → three, and other beside them."""

    def after(name: str) -> dict:
        return {"from": StageRef(name, "sum.txt")}

    return [
        Stage("one", ADD, AddStage(plus=1)),
        Stage("two", ADD, AddStage(plus=middle), after("one")),
        Stage("three", ADD, AddStage(plus=3), after("two")),
        Stage("other", ADD, AddStage(plus=4), after("one")),
    ]


def cached(stages, store) -> set[str]:
    return {name for name, result in run_graph(stages, store).items() if result.cached}


def test_what_does_not_follow_from_the_chosen_stage_is_taken_over(tmp_path):
    before, store = tmp_path / "before", tmp_path / "after"
    run_graph(chain(), before)
    planned = plan(chain())
    assert done_anew(planned, "two") == {"two", "three"} and done_anew(planned, "") == set()
    assert take_over(planned, store, [before], "two") == {"one", "other"}
    assert take_over(planned, store, [before], "two") == {"one", "other"}, "a later attempt gives the same"
    assert cached(chain(), store) == {"one", "other"}
    first = finished_folder(before, planned["one"].folder) / "sum.txt"
    assert first.samefile(finished_folder(store, planned["one"].folder) / "sum.txt"), "copied instead of linked"
    with pytest.raises(ConfigError, match="no stage nobody"):
        take_over(planned, store, [before], "nobody")


def test_changed_settings_are_done_anew_wherever_it_begins(tmp_path):
    before, store = tmp_path / "before", tmp_path / "after"
    run_graph(chain(), before)
    changed = chain(middle=5)
    assert take_over(plan(changed), store, [before], "three") == {"one", "other"}
    results = run_graph(changed, store)
    assert results["three"].figures["sum"] == 9 and not results["two"].cached


def test_a_stage_whose_files_are_lost_is_not_taken_over(tmp_path):
    before = tmp_path / "before"
    run_graph(chain(), before)
    planned = plan(chain())
    (finished_folder(before, planned["one"].folder) / "sum.txt").write_text("12")
    assert take_over(planned, tmp_path / "after", [before, tmp_path / "nothing"], "three") == {"two", "other"}


def test_a_plan_without_files_says_what_a_plan_with_files_says(tmp_path):
    given = small_inputs(tmp_path)
    named = EvolutionInputs(tmp_path / "a", tmp_path / "b", tmp_path / "c")

    def light(**changes):
        graph = evolution_graph(small_config(**changes), named, Sizes(12, 5))
        return plan(graph.stages, content=str)

    def whole(**changes):
        return plan(evolution_graph(small_config(**changes), given).stages)

    for changes in ({}, {"seed": 3}, {"dpo_after": "never"}, {"iterations": 1}):
        for stage in ("", "sft-1", "evaluation-base"):
            assert left_alone(light(), light(**changes), stage) == left_alone(whole(), whole(**changes), stage)
    assert left_alone(light(), light(seed=1), "") == {"questions-1", "greedy-base"}
