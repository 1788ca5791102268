"""The published pos/neg forms: what they can hold goes both ways, and import says what they cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.data.published_trees import (
    PublishedForm,
    import_record,
    published_record,
    read_published,
    write_published,
)
from meds3core.data.trees import TreeFileError
from meds3core.errors import UserError
from meds3core.types.question import ChoiceFormat
from meds3core.types.tree import Move, Node, Tree
from tests.core.trees.factory import question, tree

FORMS: tuple[PublishedForm, ...] = ("published", "nested")


def _node(id: int, parent: int, depth: int, move: Move, **more: Any) -> Node:
    return Node(id=id, parent=parent, depth=depth, move=move, text=f"step {id}", value=0.5, visits=1, **more)


def _reflected() -> Tree:
    """root → 1 → 2 wrong → 3 reflects, right; 1 → 4 dead end; 1 → 5 truncated."""
    nodes = (
        _node(0, -1, 0, Move.ROOT),
        _node(1, 0, 1, Move.REASON, outcomes=(1, 0), rollout_value=0.5),
        _node(2, 1, 2, Move.FINISH, answer="1 mg", verdict=False, rollout_value=0.0),
        _node(3, 2, 3, Move.REFLECT, answer="2 mg", verdict=True, rollout_value=1.0),
        _node(4, 1, 2, Move.REASON),
        _node(5, 1, 2, Move.REASON, truncated=True),
    )
    return tree(0).model_copy(update={"nodes": nodes})


def _texts(trajectories: list[Any], form: PublishedForm) -> list[list[str]]:
    if form == "nested":
        return [[step[0] for step in steps] for steps, _, _ in trajectories]
    return [[step["step"] for step in steps] for steps in trajectories]


@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_answer_stays_wrong_when_reflected_upon(form: PublishedForm) -> None:
    record = published_record(_reflected(), form)
    assert _texts(record["pos"], form) == [["step 0", "step 1", "step 2", "step 3"]]
    assert _texts(record["neg"], form) == [["step 0", "step 1", "step 2"]]


def test_the_shapes_are_those_published() -> None:
    flat, nested = published_record(_reflected()), published_record(_reflected(), "nested")
    assert flat["pos"][0][1] == {"step": "step 1", "value": 0.5, "rollout_value": 0.5}
    assert nested["neg"][0] == [[["step 0", 0.5, None], ["step 1", 0.5, 0.5], ["step 2", 0.5, 0.0]], 0.5, 0.0]
    assert set(flat) == {"id", "question", "answer", "pos", "neg"}
    assert set(nested) == {*flat, "original_dataset"}


def test_import_rebuilds_prefixes_reflection_and_verdicts() -> None:
    imported = import_record(published_record(_reflected()), "here", "1")
    nodes = imported.tree.nodes
    assert [node.parent for node in nodes] == [-1, 0, 1, 2]
    assert [node.move for node in nodes] == [Move.ROOT, Move.REASON, Move.FINISH, Move.REFLECT]
    assert [node.verdict for node in nodes] == [None, None, False, True]
    assert any("dead ends" in note and "rollout counts" in note for note in imported.notes)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(3, 60),
    form=st.sampled_from(FORMS),
    suffix=st.sampled_from([".json", ".jsonl"]),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, form: PublishedForm, suffix: str
) -> None:
    grown = tree(seed, size=size)
    path = tmp_path_factory.mktemp("published") / f"trees{suffix}"
    write_published(path, [grown, grown], form)
    first, second = read_published(path)
    assert first == second

    def paths(of: Tree, verdict: bool) -> set[tuple[tuple[str, float | None, float | None], ...]]:
        leaves = [node.id for node in of.nodes if node.verdict is verdict]
        return {tuple((node.text, node.value, node.rollout_value) for node in of.path(leaf)) for leaf in leaves}

    for verdict in (True, False):
        assert paths(first.tree, verdict) == paths(grown, verdict)
    assert first.tree.question.text == grown.question.text and first.tree.question.id == grown.question.id
    assert first.tree.question.gold.value == grown.question.gold.value  # type: ignore[union-attr]
    # What is rebuilt once is rebuilt again, byte for byte, but for trajectories that were merged or reordered.
    again = published_record(import_record(published_record(first.tree, form), "here", "1").tree, form)
    assert again == published_record(first.tree, form)


def _canonical(trajectories: Any) -> set[str]:
    return {json.dumps(trajectory, sort_keys=True) for trajectory in trajectories}


_step = st.fixed_dictionaries(
    {
        "step": st.sampled_from("abc"),
        "value": st.sampled_from([0.0, 0.5, 1.0]) | st.none(),
        "rollout_value": st.sampled_from([0.25]) | st.none(),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    pos=st.lists(st.lists(_step, min_size=1, max_size=4), max_size=4),
    neg=st.lists(st.lists(_step, min_size=1, max_size=4), max_size=4),
)
def test_any_trajectories_survive(pos: list[Any], neg: list[Any]) -> None:
    """Everything that begins with one common step comes back as it was, repeats aside."""
    root = {"step": "root", "value": None, "rollout_value": None}
    record = {"question": "q", "answer": "42", "pos": [[root, *t] for t in pos], "neg": [[root, *t] for t in neg]}
    both = [t for t in pos if t in neg]
    if both:
        with pytest.raises(TreeFileError, match="stands in 'pos' and in 'neg'"):
            import_record(record, "here", "7")
        return
    back = published_record(import_record(record, "here", "7").tree)
    assert back["id"] == "7"
    for side in ("pos", "neg"):
        assert _canonical(back[side]) == _canonical(record[side])


def test_written_headers_are_taken_off_and_options_read() -> None:
    asked = question(1)
    steps = [{"step": f"Step {i}: body {i}", "value": 1, "rollout_value": None} for i in range(3)]
    record = {"id": 5, "question": asked.text, "answer": asked.gold.value, "pos": [steps], "neg": []}
    imported = import_record(record, "here", "1").tree
    assert [node.text for node in imported.nodes] == ["body 0", "body 1", "body 2"]
    assert imported.question.id == "5" and isinstance(imported.question.answer_format, ChoiceFormat)


def test_different_beginnings_get_a_root_and_a_note() -> None:
    def one(text: str, value: float) -> list[dict[str, Any]]:
        return [{"step": text, "value": value}, {"step": "The answer is 3.", "value": 0}]

    record = {"question": "q", "answer": "42", "pos": [one("a", 1)], "neg": [one("b", 1)]}
    imported = import_record(record, "here", "1")
    assert len(imported.tree.nodes) == 5 and "a root was added" in imported.notes[-1]
    assert imported.tree.nodes[4].answer == "3"
    other = [{"step": "a", "value": 0.5}, {"step": "The answer is 4.", "value": 0}]
    same = import_record({**record, "neg": [other]}, "here", "1")
    assert "several values" in same.notes[-1]


def test_a_tree_without_trajectories_or_gold() -> None:
    assert len(import_record({"question": "q", "answer": "1", "pos": [], "neg": []}, "h", "1").tree.nodes) == 1
    with pytest.raises(UserError, match="without a gold answer"):
        published_record(tree(0, of=question(0).without_gold()))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "expected an object"),
        ({"question": "q", "answer": 3, "pos": [], "neg": []}, "'answer'"),
        ({"question": "q", "answer": "3", "pos": [], "neg": None}, "'neg'"),
        ({"question": "q", "answer": "3", "pos": [[]], "neg": []}, "'pos.0'"),
        ({"question": "q", "answer": "3", "pos": [[{"step": "a", "value": 2}]], "neg": []}, "'pos.0.0.value'"),
        (
            {"question": "q", "answer": "3", "pos": [[{"step": "a", "value": float("nan")}]], "neg": []},
            "'pos.0.0.value'",
        ),
        ({"question": "q", "answer": "3", "pos": [[{"stop": "a"}]], "neg": []}, "'pos.0.0'"),
        ({"question": "q", "answer": "3", "pos": [[[["a", 1, 1], 7], 1, 1]], "neg": []}, "'pos.0.1'"),
        ({"question": "", "answer": "3", "pos": [], "neg": []}, "'text'"),
    ],
)
def test_bad_records_name_the_place(tmp_path: Path, record: Any, message: str) -> None:
    for name, content in (("a.json", json.dumps([record])), ("a.jsonl", json.dumps(record) + "\n")):
        if name == "a.jsonl" and not isinstance(record, dict):
            continue
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(TreeFileError) as caught:
            list(read_published(path))
        assert message in str(caught.value) and str(path) in str(caught.value) and " 1" in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    for content, message in (
        (b"", "empty"),
        (b"[{]", "not a JSON array"),
        (b"[\xff]", "UTF-8"),
        (b'["\\ud800"]', "array"),
    ):
        (tmp_path / "f.json").write_bytes(content)
        with pytest.raises(TreeFileError, match=message):
            list(read_published(tmp_path / "f.json"))
