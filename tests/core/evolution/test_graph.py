"""Keys: what changes them, what does not, and what a graph refuses."""

import shutil

import pytest

from meds3core.config.search import DrawConfig
from meds3core.errors import ConfigError, UserError
from meds3core.evolution.estimate import longest_remaining, wall_time
from meds3core.evolution.graph import External, Stage, StageKind, StageRef, content_key, dependants, plan
from tests.core.evolution.cheap import ADD, FAULT, AddStage, FaultStage


def diamond(*, first: AddStage | None = None, left: AddStage | None = None) -> list[Stage]:
    return [
        Stage("first", ADD, first or AddStage(plus=1)),
        Stage("left", ADD, left or AddStage(plus=2), {"from": StageRef("first", "sum.txt")}),
        Stage("right", ADD, AddStage(plus=3), {"from": StageRef("first", "sum.txt")}),
        Stage("last", ADD, AddStage(), {"from": (StageRef("left", "sum.txt"), StageRef("right", "sum.txt"))}),
    ]


def changed(before: list[Stage], after: list[Stage]) -> set[str]:
    old, new = plan(before), plan(after)
    return {name for name in new if new[name].key != old[name].key}


def test_a_changed_setting_changes_the_keys_of_exactly_its_dependants():
    assert changed(diamond(), diamond()) == set()
    assert changed(diamond(), diamond(first=AddStage(plus=9))) == {"first", "left", "right", "last"}
    assert changed(diamond(), diamond(left=AddStage(plus=9))) == {"left", "last"}
    assert dependants(plan(diamond()), ["left"]) == {"left", "last"}


def test_a_nested_setting_counts():
    hot = AddStage(plus=2, draw=DrawConfig(temperature=2.0, top_p=1.0))
    assert changed(diamond(), diamond(left=hot)) == {"left", "last"}


def test_names_order_and_units_do_not_count():
    stages = diamond()
    renamed = [
        Stage("a", ADD, AddStage(plus=1), units=50.0),
        Stage("b", ADD, AddStage(plus=2), {"from": StageRef("a", "sum.txt")}),
    ]
    assert {entry.key for entry in plan(renamed).values()} < {entry.key for entry in plan(stages).values()}
    assert {n: e.key for n, e in plan(stages[::-1]).items()} == {n: e.key for n, e in plan(stages).items()}


def test_kind_version_and_order_of_inputs_count():
    newer = StageKind(ADD.name, ADD.version + 1, ADD.settings, ADD.implementation)
    other = StageKind("plus", ADD.version, ADD.settings, ADD.implementation)
    keys = {plan([Stage("x", kind, AddStage())])["x"].key for kind in (ADD, newer, other)}
    assert len(keys) == 3
    swapped = [
        *diamond()[:3],
        Stage("last", ADD, AddStage(), {"from": (StageRef("right", "sum.txt"), StageRef("left", "sum.txt"))}),
    ]
    assert changed(diamond(), swapped) == {"last"}


def test_another_file_of_the_same_stage_is_another_input():
    log = [
        *diamond()[:3],
        Stage("last", ADD, AddStage(), {"from": (StageRef("left", "other.txt"), StageRef("right", "sum.txt"))}),
    ]
    assert changed(diamond(), log) == {"last"}


def test_external_content_counts_and_its_place_does_not(tmp_path):
    model = tmp_path / "model"
    (model / "inner").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "inner" / "weights").write_bytes(b"1234")
    moved = tmp_path / "moved"
    shutil.copytree(model, moved)
    assert content_key(model) == content_key(moved)
    (moved / "inner" / "weights").write_bytes(b"1235")
    assert content_key(model) != content_key(moved)
    (moved / "inner" / "weights").write_bytes(b"1234")
    (moved / "inner" / "weights").rename(moved / "weights")
    assert content_key(model) != content_key(moved)


def test_bad_graphs_are_refused_by_name(tmp_path):
    one = Stage("one", ADD, AddStage())
    with pytest.raises(ConfigError, match="two stages are named one"):
        plan([one, one])
    with pytest.raises(ConfigError, match="two reads the result of three"):
        plan([one, Stage("two", ADD, AddStage(), {"from": StageRef("three")})])
    with pytest.raises(ConfigError, match="wait for each other"):
        plan(
            [Stage("a", ADD, AddStage(), {"from": StageRef("b")}), Stage("b", ADD, AddStage(), {"from": StageRef("a")})]
        )
    with pytest.raises(ConfigError, match="takes FaultStage"):
        plan([Stage("a", FAULT, AddStage())])
    with pytest.raises(UserError, match=r"gone\.jsonl: cannot be read"):
        plan([Stage("a", ADD, AddStage(), {"from": External(tmp_path / "gone.jsonl")})])
    assert plan([Stage("a", FAULT, FaultStage(fault="user"))])


def test_estimates_follow_the_longest_chain():
    planned = plan(diamond())
    seconds = {"first": 1.0, "left": 5.0, "right": 2.0, "last": 1.0}
    assert longest_remaining(planned, seconds) == {"first": 7.0, "left": 6.0, "right": 3.0, "last": 1.0}
    assert wall_time(planned, seconds, 1) == 9.0
    assert wall_time(planned, seconds, 2) == 7.0
