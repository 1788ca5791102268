"""Judgements leave and come back; files of other tools are read; what is wrong with a row is said with its place."""

import csv
import io
import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from meds3core.data.rows import RowError
from meds3core.data.tables import CsvWriter
from meds3core.judgements.files import judgement_lines, read_judgements
from meds3core.text.steps import OPENER
from meds3core.types.judgements import ErrorKind, Severity, StepJudgement, Verdict
from meds3core.types.labels import Origin
from tests.core.judgements.built import judged, question

FULL = judged(
    "bad",
    "One.",
    "=Two.",
    id="c0ffee",
    errors=("wrong-fact", "unsafe"),
    severity="severe",
    correction="Two, rightly.",
    comment="no",
    seconds=4.5,
    said_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
    correct=False,
    gold="B",
    siblings=("Else.",),
    origin=Origin(tree="t", policy_hash="p", prompt_hash="h"),
)
SOME = [judged("good", "One.", gold="B"), FULL, judged("neutral", "One.", who="bob"), judged("cant-tell", number=2)]


def write(tmp_path, lines, name="file.jsonl"):
    path = tmp_path / name
    path.write_text("".join(lines), encoding="utf-8")
    return path


def read(path, **options):
    return list(read_judgements(path, **options))


def test_our_own_lines_come_back_whole(tmp_path):
    assert read(write(tmp_path, judgement_lines(SOME, "jsonl"))) == SOME


def test_prm800k_lines_are_walks_and_come_back(tmp_path):
    lines = list(judgement_lines(SOME, "prm800k"))
    rows = [json.loads(line) for line in lines]
    walk = rows[0]
    assert (walk["labeler"], walk["question"]) == (
        "ann", {"problem": question().text, "ground_truth_answer": "B"}
    )  # fmt: skip
    assert walk["label"]["finish_reason"] == "found_error" and walk["label"]["total_time"] == 4500
    first, second = walk["label"]["steps"]
    assert first["completions"] == [{"text": "One.", "rating": 1, "flagged": False}]
    assert [each["rating"] for each in second["completions"]] == [-1, None]
    assert second["human_completion"]["text"] == "Two, rightly." and second["chosen_completion"] == 0
    assert len(rows) == 3  # one person's two steps of one line are one walk
    back = read(write(tmp_path, lines))
    key = lambda one: (one.annotator, one.question.id, one.bodies)  # noqa: E731
    kept = [one.model_copy(update={"origin": Origin()}) for one in SOME]
    kept[0] = kept[0].model_copy(update={"said_at": FULL.said_at})  # of a walk only its end is known
    assert sorted(back, key=key) == sorted(kept, key=key)


def test_published_lines_are_read_along_the_chosen_steps(tmp_path):
    def completion(text, rating):
        return {"text": text, "rating": rating, "flagged": False}

    line = {
        "labeler": "e90a38f3",
        "timestamp": "2022-07-17T16:56:51.323252",
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {"problem": "Two and two?", "ground_truth_answer": "4"},
        "label": {
            "steps": [
                {"completions": [completion("a", -1), completion("b", 1)], "chosen_completion": 1},
                {
                    "completions": [completion("c", -1), completion("d", None)],
                    "human_completion": {"text": "e", "rating": None, "source": "human", "flagged": False},
                    "chosen_completion": None,
                },
                {"completions": [completion("f", 0)], "human_completion": None, "chosen_completion": None},
                {"completions": [completion("never", 1)], "human_completion": None, "chosen_completion": 0},
            ],
            "total_time": 278270,
            "finish_reason": "found_error",
        },
    }  # fmt: skip
    found = read(write(tmp_path, [json.dumps(line) + "\n"]))
    assert [(one.bodies[1:], one.verdict.value, one.correction) for one in found] == [
        (("a",), "bad", ""),
        (("b",), "good", ""),
        (("b", "c"), "bad", "e"),
        (("b", "e", "f"), "neutral", ""),
    ]
    assert all(one.bodies[0] == OPENER and one.gold == "4" and one.question.source == "PRM800K" for one in found)
    assert found[0].siblings == ("b",)
    known = question().model_copy(update={"text": "Two and two?"})
    assert read(write(tmp_path, [json.dumps(line)]), known={known.text: known})[0].question == known


def task(data, *results, **annotation):
    return {"id": 7, "data": data, "annotations": [{"completed_by": 3, "result": list(results), **annotation}]}


def choice(name, *words, kind="choices", **value):
    return {"from_name": name, "to_name": "text", "type": kind, "value": {kind: list(words), **value}}


def test_label_studio_tasks_of_one_step(tmp_path):
    data = {"question": "Why?", "earlier": ["One."], "step": "Two.", "gold": "B"}
    tasks = [
        task(
            data,
            choice("verdict", "Incorrect"),
            choice("errors", "Wrong fact", "Unsafe"),
            choice("severity", "Severe"),
            choice("correction", "Rightly two.", kind="text"),
            choice("comment", "hm", kind="text"),
            lead_time=12.5,
            created_at="2026-11-23T09:00:00Z",
        ),
        task({**data, "earlier": f"Step 0: {OPENER}\n\nStep 1: One."}, choice("verdict", "Good"), ground_truth=True),
        task(data, choice("verdict", "Bad"), was_cancelled=True),
        {"id": 4, "annotation_id": 9, "question": "Why?", "step": "Two.", "earlier": ["One."], "annotator": 5,
         "verdict": "Can't tell", "comment": "who knows", "lead_time": 3.0},
    ]  # fmt: skip
    first, second, flat = read(write(tmp_path, [json.dumps(tasks)], "export.json"))
    assert first.bodies == second.bodies == flat.bodies == (OPENER, "One.", "Two.")
    assert (first.verdict, first.errors) == (Verdict.BAD, (ErrorKind.WRONG_FACT, ErrorKind.UNSAFE))
    assert (first.severity, first.correction, first.comment) == (Severity.SEVERE, "Rightly two.", "hm")
    assert (first.seconds, first.annotator, first.gold, first.adjudicated) == (12.5, "label-studio-3", "B", False)
    assert second.verdict is Verdict.GOOD and second.adjudicated
    assert (flat.verdict, flat.annotator, flat.comment) == (Verdict.CANT_TELL, "label-studio-5", "who knows")


def test_label_studio_tasks_of_several_steps(tmp_path):
    by_name = task(
        {"problem": "Why?", "steps": ["One.", "Two."]}, choice("verdict_1", "good"), choice("verdict-2", "bad")
    )
    marked = task(
        {"prompt": "Why?", "dialogue": [{"author": "model", "text": "One."}, {"author": "model", "text": "Two."}]},
        choice("label", "Wrong", kind="paragraphlabels", start="1", end="1"),
    )
    found = read(write(tmp_path, [json.dumps([by_name, marked])], "export.json"))
    assert [(one.step, one.verdict.value) for one in found] == [(1, "good"), (2, "bad"), (2, "bad")]


def test_only_a_control_called_verdict_gives_one(tmp_path):
    data = {"question": "Why?", "step": "One."}
    tasks = [
        task(data, choice("is_urgent", "Yes"), choice("verdict", "bad"), choice("seen_before", "no")),
        task(data, choice("is_urgent", "Yes")),
        task(data, choice("topic", "Cardiology")),
        task(data, choice("verdict", "Fine by me")),
    ]
    found = read(write(tmp_path, [json.dumps(tasks)], "export.json"))
    assert [getattr(one, "verdict", one) for one in found[:1]] == [Verdict.BAD]
    assert [(one.row, one.field) for one in found[1:]] == [(2, "annotations.0.result.0"), (4, "annotations.0.result.0")]
    assert "rename it" in found[1].message and "unknown verdict" in found[2].message


def test_what_is_wrong_is_named_by_row_and_field_without_its_content(tmp_path):
    rows = [
        json.loads(next(iter(judgement_lines([FULL], "jsonl")))) | {"verdict": "SECRET"},
        {"SECRET": 1},
        json.loads(next(iter(judgement_lines([FULL], "prm800k")))) | {"labeler": ""},
        task({"question": "Why?", "steps": ["One."]}, choice("verdict_9", "SECRET", "good")),
        task({"question": "Why?", "step": "One."}, choice("errors", "SECRET")),
        json.loads(next(iter(judgement_lines([judged()], "jsonl")))) | {"severity": "minor"},
    ]
    found = read(write(tmp_path, [json.dumps(row) + "\n" for row in rows]))
    assert all(isinstance(one, RowError) for one in found) and len(found) == 6
    assert [(one.row, one.field) for one in found] == [
        (1, "verdict"),
        (2, ""),
        (3, "labeler"),
        (4, "annotations.0.result.0"),
        (5, "annotations.0.result.0"),
        (6, ""),
    ]
    assert "SECRET" not in " ".join(map(str, found))


def test_trl_rows_have_a_label_for_every_completion():
    said = [
        judged("good", "One."),
        judged("good", "One.", "Two.", "Three."),
        judged("bad", "One.", "Two.", "Three.", "Four."),
    ]
    first, second = [json.loads(line) for line in judgement_lines(said, "trl")]
    assert first["completions"] == ["Step 1: One."] and first["labels"] == [True]
    assert second["completions"] == ["Step 3: Three.", "Step 4: Four."] and second["labels"] == [True, False]
    assert second["prompt"].startswith(question().text) and second["prompt"].endswith("Step 2: Two.")


def test_csv_in_both_forms():
    exact = list(csv.DictReader(io.StringIO("".join(judgement_lines(SOME, "csv")), newline="")))
    assert [row["verdict"] for row in exact] == ["good", "bad", "neutral", "cant-tell"]
    assert (exact[1]["step"], exact[1]["errors"], exact[1]["step_number"]) == ("=Two.", "wrong-fact; unsafe", "2")
    table = CsvWriter("spreadsheet")
    text = "".join(judgement_lines(SOME, "csv", table))
    assert text.startswith("\ufeff") and "'=Two." in text and table.neutralised == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["good", "bad", "neutral", "cant-tell"]),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_judgement_comes_back_from_our_own_lines(tmp_path_factory, rows):
    said = [judged(verdict, text, comment=text) for verdict, text in rows]
    path = write(tmp_path_factory.mktemp("any"), judgement_lines(said, "jsonl"))
    back = read(path)
    assert back == said and all(isinstance(one, StepJudgement) for one in back)
