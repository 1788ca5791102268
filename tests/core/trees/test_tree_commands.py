"""`meds3 trees`, as it is typed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from meds3core.cli.trees import app
from meds3core.data.trees import read_trees, tree_line, write_trees
from meds3core.errors import UserError
from tests.core.trees.factory import question, tree


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_trees(tmp_path / "trees.jsonl", [tree(seed) for seed in range(3)])
    return tmp_path


def test_several_trees_are_listed(folder: Path) -> None:
    assert all(question(seed).id in run("show", folder).stdout for seed in range(3))


@pytest.mark.parametrize("width", [24, 40, 200])
def test_a_tree_has_a_line_for_every_node(folder: Path, width: int) -> None:
    shown = run("show", folder / "trees.jsonl", "--index", 2, "--width", width).stdout
    lines = [line for line in shown.splitlines() if "── " in line]
    assert len(lines) == len(tree(1).nodes) - 1
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown
    if width == 200:
        assert "right [" in shown and "WRONG [" in shown and "-0." in shown


def test_by_question_and_path(folder: Path) -> None:
    grown = tree(2)
    leaf = next(node for node in grown.nodes if node.verdict is not None)
    shown = run("show", folder, "--question", grown.question.id, "--path", leaf.id, "--width", 1000).stdout
    for node in grown.path(leaf.id):
        assert f"Step {node.depth}  node {node.id}" in shown and node.text in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--question", "nobody"], "not among the 3 trees"),
        (["--index", 4], "not among the 3 trees"),
        (["--index", 1, "--question", "x"], "give one of them"),
        (["--path", 1], "say which"),
        (["--index", 1, "--path", 999], "this tree has nodes 0 to"),
    ],
)
def test_what_cannot_be_shown(folder: Path, arguments: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run("show", folder, *arguments)


def test_terminal_codes_in_a_text_are_not_obeyed(tmp_path: Path) -> None:
    hostile = question(0, text="\x1b[2J\x1b]0;owned\x07 [bold]How many mg?[/bold]")
    write_trees(tmp_path / "t.jsonl", [tree(0, of=hostile)])
    shown = run("show", tmp_path / "t.jsonl").stdout
    assert "\x1b" not in shown and "\x07" not in shown and "[bold]How many mg?[/bold]" in shown


def test_report_beside_the_trees_and_elsewhere(folder: Path) -> None:
    (folder / "failures.jsonl").write_text('{"id":"q-lost","code":"engine","reason":"no answer"}\n')
    assert run("report", folder).stdout.strip() == str(folder / "report.html")
    assert "q-lost" in (folder / "report.html").read_text()
    assert run("report", folder, "--out", folder / "a" / "b.html").exit_code == 0
    assert (folder / "a" / "b.html").exists()


def test_an_interrupted_search_is_reported_and_said_to_be(tmp_path: Path) -> None:
    half = tree_line(tree(1))[:500]
    (tmp_path / "trees.partial.jsonl").write_text(f"{tree_line(tree(0))}\n{half}")
    result = run("report", tmp_path)
    assert "has not finished" in result.stderr and "cut short" in result.stderr
    page = (tmp_path / "report.html").read_text()
    assert "has not finished" in page and "cut short" in page


def test_nothing_to_read(tmp_path: Path) -> None:
    for command in (("report", tmp_path), ("show", tmp_path / "x.jsonl"), ("show", tmp_path)):
        with pytest.raises(UserError, match=r"neither trees\.jsonl|no such file"):
            run(*command)
    (tmp_path / "trees.jsonl").touch()
    with pytest.raises(UserError, match="no tree in it"):
        run("show", tmp_path)


@pytest.mark.parametrize("form", ["published", "nested"])
def test_export_and_import(folder: Path, form: str) -> None:
    assert "3 trees" in run("export", folder, "--form", form, "--out", folder / "p.json").stdout
    result = run("import", folder / "p.json", "--out", folder / "back.jsonl")
    assert "3 trees" in result.stdout and "dead ends" in result.stderr and "(3 of 3 trees)" in result.stderr
    assert [each.question.id for each in read_trees(folder / "back.jsonl")] == [question(seed).id for seed in range(3)]


def test_export_as_lines_is_exact(folder: Path) -> None:
    run("export", folder, "--form", "jsonl", "--out", folder / "copy.jsonl")
    assert (folder / "copy.jsonl").read_bytes() == (folder / "trees.jsonl").read_bytes()
