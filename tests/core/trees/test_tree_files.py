"""Tree files: exact round trips, errors that name file, line and field, nothing half-written."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.data.trees import TreeFileError, read_failures, read_trees, tree_line, write_trees
from meds3core.types.tree import Tree
from tests.core.trees.factory import question, tree


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 60), text=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, text: str) -> None:
    grown = [tree(seed, size=size), tree(seed + 1, size=size, of=question(seed).without_gold())]
    grown.append(
        grown[0].model_copy(update={"question": question(seed, text="?" + text, identity="q\u2028" + text[:50])})
    )
    path = tmp_path_factory.mktemp("trees") / "trees.jsonl"
    assert write_trees(path, grown) == 3
    assert list(read_trees(path)) == grown
    assert path.read_text(encoding="utf-8") == "".join(tree_line(each) + "\n" for each in read_trees(path))


def test_an_inference_tree_stays_one(tmp_path: Path) -> None:
    write_trees(tmp_path / "t.jsonl", [tree(0, of=question(0).without_gold())])
    (back,) = read_trees(tmp_path / "t.jsonl")
    assert not hasattr(back.question, "gold")


def test_lines_are_small_and_say_their_format() -> None:
    row = json.loads(tree_line(tree(3)))
    assert next(iter(row)) == "format" and row["format"] == "meds3-tree/1"
    assert "truncated" not in row["nodes"][0] and "verdict" not in row["nodes"][1]


def test_bom_crlf_and_blank_lines_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{tree_line(tree(0))}\r\n\r\n{tree_line(tree(1))}".encode())
    assert [each.question.id for each in read_trees(path)] == [question(0).id, question(1).id]


def test_a_cut_last_line_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "trees.partial.jsonl"
    line = tree_line(tree(1)).encode()
    path.write_bytes(tree_line(tree(0)).encode() + b"\n" + line[: len(line) // 2])
    with pytest.raises(TreeFileError, match=r"line 2: the last line is cut short"):
        list(read_trees(path))
    said: list[str] = []
    assert len(list(read_trees(path, on_cut=said.append))) == 1
    assert "line 2" in said[0]


def _row(**changes: object) -> dict[str, object]:
    return {**json.loads(tree_line(tree(0))), **changes}


def _node(index: int, **changes: object) -> dict[str, object]:
    row = json.loads(tree_line(tree(0)))
    row["nodes"][index].update(changes)
    return row  # type: ignore[no-any-return]


BAD: dict[str, tuple[object, str]] = {
    "other format": (_row(format="meds3-tree/2"), "'format'"),
    "a published record": ({"pos": [], "neg": []}, "meds3 trees import"),
    "no nodes": (_row(nodes=[]), "'nodes'"),
    "a missing field": ({k: v for k, v in _row().items() if k != "stop_reason"}, "'stop_reason'"),
    "an unknown field": (_row(clock=3), "'clock'"),
    "a value above 1": (_node(1, value=1.5), "'nodes.1.value'"),
    "a value that is no number": (_node(1, value=float("nan")), "'nodes.1.value'"),
    "a parent that comes later": (_node(1, parent=5), "'nodes.1.parent'"),
    "its own parent": (_node(2, parent=2), "'nodes.2.parent'"),
    "a wrong id": (_node(2, id=9), "'nodes.2.id'"),
    "a wrong depth": (_node(1, depth=4), "'nodes.1.depth'"),
    "a second root": (_node(1, parent=-1), "'nodes.1.parent'"),
    "half a character": (_node(1, text="\ud800"), "half a character"),
    "a question that is a number": (_row(question=7), "'question'"),
    "a list": ([1, 2], "expected a tree"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_file_line_and_field(tmp_path: Path, name: str) -> None:
    row, field = BAD[name]
    path = tmp_path / "trees.jsonl"
    path.write_text(tree_line(tree(1)) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(TreeFileError) as caught:
        list(read_trees(path))
    assert f"{path}, line 2" in str(caught.value) and field in str(caught.value)


def test_errors_show_no_question(tmp_path: Path) -> None:
    row = _row()
    row["question"] = {**row["question"], "text": "MARKER", "gold": {"value": "MARKER"}, "id": 4}  # type: ignore[dict-item]
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(TreeFileError) as caught:
        list(read_trees(path))
    assert "question.id" in str(caught.value) and "MARKER" not in str(caught.value)


_KEYS = st.sampled_from(["format", "question", "nodes", "pos", "neg", "id"])
_JSON = st.recursive(
    st.none() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_load_or_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    path.write_bytes(content + b"\n")
    try:
        list(read_trees(path))
    except TreeFileError as error:
        assert "line" in str(error)


def test_deep_nesting_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(TreeFileError, match="nested too deep"):
        list(read_trees(path))
    with pytest.raises(TreeFileError, match="cannot be read"):
        list(read_trees(tmp_path / "absent.jsonl"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    write_trees(path, [tree(0)])

    def broken() -> object:
        yield tree(1)
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        write_trees(path, broken())  # type: ignore[arg-type]
    assert [each.question.id for each in read_trees(path)] == [question(0).id]
    assert [each.name for each in tmp_path.iterdir()] == ["trees.jsonl"]


def test_nothing_is_written_for_no_trees(tmp_path: Path) -> None:
    assert write_trees(tmp_path / "t.jsonl", []) == 0
    assert (tmp_path / "t.jsonl").read_bytes() == b""


def test_failures(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_text('{"id":"a","code":"context-overflow","reason":"too long","row":3}\n{"id":"b","code":7}\n')
    failures = read_failures(path)
    assert next(failures).code == "context-overflow"
    with pytest.raises(TreeFileError, match="line 2: field 'code'"):
        next(failures)


def test_factory_trees_are_sound() -> None:
    for seed in range(20):
        grown: Tree = tree(seed)
        visits = [node.visits for node in grown.nodes]
        for node, children in zip(grown.nodes, grown.children(), strict=True):
            assert node.visits == sum(visits[child] for child in children) + (node.parent >= 0)
