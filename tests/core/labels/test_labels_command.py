"""`meds3 labels`, as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from meds3core.cli.labels import app
from meds3core.data.labels import read_card, read_labels
from meds3core.data.published_trees import write_published
from meds3core.data.trees import write_trees
from meds3core.errors import ConfigError, PolicyError, UserError
from meds3core.labels.base import EmptyLabelSet
from meds3core.sandbox.bundled import policy_folder
from tests.core.labels.by_hand import question, step, tree
from tests.core.labels.test_clinic_judge import CHILD, DAILY, FOLLOWS, READ, RIGHT, WRONG_DAILY


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


GROWN = tree(
    step(0, 0.5, text=READ),
    step(1, 0.75, text=DAILY),
    step(1, 0.125, text=WRONG_DAILY),
    step(2, 1.0, True, text=RIGHT),
    step(3, 0.0, False, text=FOLLOWS),
    of=CHILD,
)


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    write_trees(tmp_path / "trees.jsonl", [GROWN])
    return tmp_path / "trees.jsonl"


def test_counts_and_reasons_are_printed(trees, tmp_path):
    shown = run("build", "sft", "--trees", trees, "--out", tmp_path / "sft").stdout
    assert "1 SFT examples of 1 trees, 1 questions" in shown
    assert "1  trajectories with a wrong answer" in shown
    card = read_card(tmp_path / "sft")
    assert [(source.role, source.name) for source in card.sources] == [("trees", "trees.jsonl")]
    assert len(card.sources[0].hash) == 32


def test_a_folder_several_files_and_a_published_one(trees, tmp_path):
    other = tree(step(0, 0.5), step(1, 1.0, True), step(1, 0.0, False), of=question(2))
    write_published(tmp_path / "published.json", [other])
    run("build", "sft", "--trees", trees.parent, "--trees", tmp_path / "published.json", "--out", tmp_path / "sft")
    assert read_card(tmp_path / "sft").counts.questions == 2


def test_settings(trees, tmp_path):
    run(
        "build", "pairs", "--trees", trees, "--out", tmp_path / "pairs", "--set", 'kinds=["finish"]', "--set", "gap=0.4"
    )
    (pair,) = read_labels(tmp_path / "pairs").pairs()
    assert (pair.kind, pair.margin) == ("finish", 0.5)
    with pytest.raises(ConfigError, match="no such setting"):
        run("build", "pairs", "--trees", trees, "--out", tmp_path / "x", "--set", "label=soft")


def test_a_judge_means_consensus_unless_said_otherwise(trees, tmp_path):
    run("build", "steps", "--trees", trees, "--out", tmp_path / "a", "--judge", "clinic", "--judge-error", 0.1)
    assert read_card(tmp_path / "a").config.label == "consensus"
    assert read_card(tmp_path / "a").sources[1].name == "clinic, error 0.1, seed 0"
    run("build", "steps", "--trees", trees, "--out", tmp_path / "b", "--judge", "clinic", "--set", "label=human")
    assert [record.labels for record in read_labels(tmp_path / "b").steps()] == [(None, 1, 1, 1), (None, 1, 0, 0)]
    with pytest.raises(ConfigError, match="--judge"):
        run("build", "sft", "--trees", trees, "--out", tmp_path / "c", "--judge", "clinic")
    with pytest.raises(ConfigError, match="needs a judge"):
        run("build", "steps", "--trees", trees, "--out", tmp_path / "c", "--set", "label=consensus")


def test_peoples_labels_outrank(trees, tmp_path):
    run("build", "steps", "--trees", trees, "--out", tmp_path / "a")
    record = read_labels(tmp_path / "a").steps()[0]
    people = tmp_path / "people.jsonl"
    people.write_text(json.dumps({"prefix_hash": record.prefix_hashes[2], "label": 0.25}) + "\n")
    run("build", "steps", "--trees", trees, "--out", tmp_path / "b", "--human", people, "--set", "human_weight=4")
    again = read_labels(tmp_path / "b").steps()[0]
    assert again.labels == (None, 0.5, 0.25, 1.0)
    assert again.weights == (1, 1, 4, 1)
    assert [source.role for source in read_card(tmp_path / "b").sources] == ["trees", "human"]


def test_nothing_kept_is_said_and_nothing_written(trees, tmp_path):
    with pytest.raises(EmptyLabelSet, match=r"sibling_gap"):
        run("build", "pairs", "--trees", trees, "--out", tmp_path / "x", "--set", "gap=1", "--set", "sibling_gap=1")
    with pytest.raises(UserError, match="no such file"):
        run("build", "sft", "--trees", tmp_path / "none.jsonl", "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_existing_folder_is_refused_before_the_work(trees, tmp_path):
    with pytest.raises(UserError, match="never written over"):
        run("build", "sft", "--trees", trees, "--out", tmp_path)


def preview(folder: Path, *more: object) -> str:
    return run("preview", folder, "--policy", policy_folder(), "--width", 160, *more).stdout


def test_preview_of_sft_shows_what_is_trained_on(trees, tmp_path):
    run("build", "sft", "--trees", trees, "--out", tmp_path / "set")
    shown = preview(tmp_path / "set")
    before, _, after = shown.partition("\ntrained on (")
    assert "<|user|>" in before and "<|assistant|>" in before and "Daily" not in before
    assert "|Step| 2|:| Daily| dose|" in after and "<|user|>" not in after
    assert after.rstrip().endswith("◂ end of turn")
    assert "<|eos|>" in after


def test_preview_of_pairs_shows_open_and_ended_turns(tmp_path):
    grown = tree(step(0, 0.5, text=READ), step(1, 0.75, text=DAILY), step(1, 0.0, False, text=FOLLOWS), of=CHILD)
    write_trees(tmp_path / "t.jsonl", [grown])
    run("build", "pairs", "--trees", tmp_path / "t.jsonl", "--out", tmp_path / "set", "--set", 'kinds=["sibling"]')
    table = [line.partition("│") for line in preview(tmp_path / "set").splitlines() if "│" in line]
    chosen, rejected = (" ".join(row[side].strip() for row in table).strip() for side in (0, 2))
    assert chosen.endswith("184| mg|.|⏎⏎ ◂ turn left open")
    assert rejected.endswith("97| mg|.|<|eos|> ◂ end of turn")


def test_preview_of_steps_shows_where_labels_sit(trees, tmp_path):
    from transformers import AutoTokenizer

    from meds3core.encoding.trajectory import TrajectoryEncoder

    run("build", "steps", "--trees", trees, "--out", tmp_path / "set")
    record = read_labels(tmp_path / "set").steps()[1]
    ends = TrajectoryEncoder(AutoTokenizer.from_pretrained(policy_folder())).steps(record.question, record.bodies).ends
    shown = preview(tmp_path / "set", "--start", 2, "--count", 1)
    lines = [line.rstrip() for line in shown.splitlines() if "◂" in line]
    assert lines[0].endswith(f"◂ no label at token {ends[0]}")
    assert [line.partition("◂ ")[2] for line in lines[1:]] == [
        f"label {label:.3g} at token {end}" for label, end in zip(record.labels[1:], ends[1:], strict=True)
    ]
    assert "2 of 2" in shown and "1 of 2" not in shown
    with pytest.raises(UserError, match="holds 2 examples"):
        preview(tmp_path / "set", "--start", 3)


def test_preview_needs_a_tokenizer_and_cannot_steer_the_terminal(trees, tmp_path):
    run("build", "sft", "--trees", trees, "--out", tmp_path / "set")
    with pytest.raises(PolicyError, match="no tokenizer"):
        run("preview", tmp_path / "set", "--policy", tmp_path)
    odd = tree(step(0, 1.0, True, text="\x1b[2J The answer is 92 mg."), step(0, 0.0, False), of=CHILD)
    write_trees(tmp_path / "odd.jsonl", [odd])
    run("build", "sft", "--trees", tmp_path / "odd.jsonl", "--out", tmp_path / "odd")
    assert "\x1b" not in preview(tmp_path / "odd")
