"""Label sets on disk: whole or not at all, never written over, and every damage is told with its row."""

import errno
import json
from pathlib import Path

import pytest

from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.data import labels as room
from meds3core.data.labels import (
    CARD,
    RECORDS,
    LabelFileError,
    LabelSource,
    file_source,
    read_card,
    read_human_labels,
    read_labels,
    write_labels,
)
from meds3core.errors import UserError
from meds3core.labels.base import EmptyLabelSet
from meds3core.labels.build import build_labels
from meds3core.types.question import Question
from tests.core.labels.by_hand import step, tree
from tests.core.trees import factory

CONFIGS = (SftLabelConfig(), PairLabelConfig(gap=0.3), StepLabelConfig(label="soft", human_weight=2.0))
GROWN = [grown for grown in map(factory.tree, range(12)) if isinstance(grown.question, Question)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_labels(tmp_path / "set", build_labels(GROWN, StepLabelConfig(label="soft")))
    return tmp_path / "set"


@pytest.mark.parametrize("config", CONFIGS)
def test_what_was_written_is_what_is_read(config, tmp_path):
    label_set = build_labels(GROWN, config)
    sources = [LabelSource(name="trees.jsonl", hash="ab")]
    card = write_labels(tmp_path / "deep" / "set", label_set, sources)
    assert read_labels(tmp_path / "deep" / "set") == label_set
    assert read_card(tmp_path / "deep" / "set") == card
    assert (card.kind, card.counts, card.sources) == (config.kind, label_set.counts, tuple(sources))
    assert (card.policy_hashes, card.prompt_hashes) == (("ab12",), ("cd34",))
    write_labels(tmp_path / "again", label_set, sources)
    for name in (CARD, RECORDS):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "deep" / "set" / name).read_bytes()


def test_texts_with_every_kind_of_sign_survive(tmp_path):
    odd = 'a\u2028b\u0085c\td\r\ne "q" \\ \x00 🩺'
    label_set = build_labels([tree(step(0, 1.0, True, text=odd), step(0, 0.0, False))], SftLabelConfig())
    write_labels(tmp_path / "set", label_set)
    assert read_labels(tmp_path / "set").records[0].bodies[1] == odd


def test_repeated_questions_and_steps_are_read_once(folder):
    records = read_labels(folder).records
    questions = {record.question.id: record.question for record in records}
    assert all(record.question is questions[record.question.id] for record in records)


def test_nothing_is_written_over(folder):
    before = (folder / RECORDS).read_bytes()
    with pytest.raises(UserError, match="never written over"):
        write_labels(folder, build_labels(GROWN, SftLabelConfig()))
    assert (folder / RECORDS).read_bytes() == before


def test_an_empty_set_is_not_written(tmp_path):
    with pytest.raises(EmptyLabelSet):
        write_labels(tmp_path / "set", build_labels([], SftLabelConfig()))
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays_when_the_disk_is_full(tmp_path, monkeypatch):
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room.os, "fsync", full)  # the disk
    with pytest.raises(UserError, match="No space left"):
        write_labels(tmp_path / "set", build_labels(GROWN, SftLabelConfig()))
    assert list(tmp_path.iterdir()) == []


def damaged(folder: Path, row: int, change) -> None:
    lines = (folder / RECORDS).read_text().splitlines()
    lines[row - 1] = change(lines[row - 1])
    (folder / RECORDS).write_text("\n".join(lines) + "\n")


def with_field(name, value):
    def change(line):
        record = json.loads(line)
        record[name] = value
        return json.dumps(record)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line[:-5], r"line 2: not JSON"),
        (lambda line: "[]", r"line 2: expected an object"),
        (with_field("labels", [None, 0.5]), r"line 2: labels has 2 entries"),
        (with_field("labels", "x"), r"line 2: field 'labels'"),
        (with_field("question", {"id": "x", "text": "secret"}), r"line 2: field 'question.answer_format'"),
        (with_field("question", 5), r"line 2: field 'question'"),
        (with_field("extra", 1), r"line 2: field 'extra'"),
        (with_field("bodies", [1, 2]), r"line 2: field 'bodies.0'"),
    ],
)
def test_damage_is_told_with_its_line_and_without_texts(folder, change, message):
    damaged(folder, 2, change)
    with pytest.raises(LabelFileError, match=message) as caught:
        read_labels(folder)
    assert "secret" not in str(caught.value) and "receive" not in str(caught.value)


def test_labels_outside_the_range_are_refused(folder):
    def change(line):
        record = json.loads(line)
        record["labels"][1] = 1.5
        return json.dumps(record)

    damaged(folder, 1, change)
    with pytest.raises(LabelFileError, match=r"line 1: a label lies outside \[0, 1\]"):
        read_labels(folder)


def test_records_that_were_changed_added_or_lost_are_noticed(folder):
    lines = (folder / RECORDS).read_text().splitlines()
    for changed in (lines[:-1], [*lines, lines[0]], [lines[1], lines[0], *lines[2:]]):
        (folder / RECORDS).write_text("\n".join(changed) + "\n")
        with pytest.raises(LabelFileError, match="it was changed"):
            read_labels(folder)
    (folder / RECORDS).unlink()
    with pytest.raises(LabelFileError, match="cannot be read"):
        read_labels(folder)


def test_a_card_that_is_none(folder, tmp_path):
    with pytest.raises(LabelFileError, match="meds3 labels build"):
        read_card(tmp_path / "nowhere")
    (folder / CARD).write_text("{}")
    with pytest.raises(LabelFileError, match="field 'kind'"):
        read_card(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(LabelFileError, match="JSON"):
        read_card(folder)


def test_peoples_labels(tmp_path):
    path = tmp_path / "people.jsonl"
    path.write_text('{"prefix_hash": "a", "label": 1}\n{"prefix_hash": "a", "label": 0, "by": "x"}\n'
                    '{"prefix_hash": "b", "label": 0.25}\n')  # fmt: skip
    assert read_human_labels(path) == {"a": 0.5, "b": 0.25}
    for line, message in [
        ('{"prefix_hash": "a", "label": 2}', "line 1: field 'label'"),
        ('{"label": 1}', "line 1: field 'prefix_hash'"),
        ("[]", "line 1: expected an object"),
        ("{", "line 1"),
        ("", "no label"),
    ]:
        path.write_text(line + "\n")
        with pytest.raises(LabelFileError, match=message):
            read_human_labels(path)
    with pytest.raises(LabelFileError, match="cannot be read"):
        read_human_labels(tmp_path / "none")


def test_sources_are_named_by_content(tmp_path):
    (tmp_path / "a.jsonl").write_text("x")
    (tmp_path / "b.jsonl").write_text("x")
    one, other = file_source(tmp_path / "a.jsonl"), file_source(tmp_path / "b.jsonl", "human")
    assert one.hash == other.hash and (one.name, one.role, other.role) == ("a.jsonl", "trees", "human")
