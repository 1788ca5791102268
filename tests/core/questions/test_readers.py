"""Reading question files: every known shape, every fault with its row and field."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from meds3core.data.option_lines import options_in
from meds3core.data.read import iterate_rows, load_questions
from meds3core.data.records import ColumnMapping
from meds3core.data.rows import RowError
from meds3core.errors import ConfigError, QuestionFileError
from meds3core.types.question import ChoiceFormat, Question
from tests.core.questions.files import TEXT, published, write
from tests.core.verify import questions as q


def problems(path: Path, **options: object) -> list[RowError]:
    return [row for row in iterate_rows(path, **options) if isinstance(row, RowError)]  # type: ignore[arg-type]


def one(folder: Path, record: object, mapping: ColumnMapping | None = None) -> Question:
    (question,) = load_questions(write(folder, record), mapping=mapping).questions
    return question


@pytest.mark.parametrize(
    ("name", "count", "kind", "options"),
    [
        ("MedQA.json", 1273, "choice", 5),
        ("pubmedqa.json", 500, "choice", 3),
        ("bioasq.json", 618, "choice", 2),
        ("pubhealth.json", 1231, "choice", 3),
    ],
)
def test_published_files(name: str, count: int, kind: str, options: int) -> None:
    questions = q.published(name)
    assert len(questions) == count
    for question in questions:
        assert isinstance(question.answer_format, ChoiceFormat)
        assert len(question.answer_format.options) == options
        assert all(option.text and option.text != '"' for option in question.answer_format.options)


def test_drugdose_kinds() -> None:
    kinds = [question.answer_format.kind for question in q.published("drugdose.json")]
    assert kinds.count("number") == 10 and kinds.count("text") == 13


@pytest.mark.parametrize(
    "record",
    [
        published(),
        published(answer="C. Clopidogrel"),
        published(answer="Clopidogrel"),
        published(answer="c"),
        published(answer_idx="C. Clopidogrel"),
        {"conversations": [{"from": "human", "value": TEXT}, {"from": "gpt", "value": "The answer is C."}]},
        {
            "conversations": [
                {"from": "human", "value": TEXT},
                {"from": "gpt", "value": "The answer is C. Clopidogrel."},
            ]
        },
        {
            "question": "Which drug?",
            "options": {"A": "Nifedipine", "B": "Enoxaparin", "C": "Clopidogrel"},
            "answer_idx": "C",
        },
        {
            "question": "Which drug?",
            "options": {"A": "Nifedipine", "B": "Enoxaparin", "C": "Clopidogrel"},
            "answer": "Clopidogrel",
            "answer_idx": "C",
            "meta_info": 1,
        },
        {
            "question": "Which drug?",
            "options": [
                {"key": "A", "value": "Nifedipine"},
                {"key": "B", "value": "Enoxaparin"},
                {"key": "C", "value": "Clopidogrel"},
            ],
            "answer_idx": "C",
        },
        {"question": "Which drug?", "choices": ["Nifedipine", "Enoxaparin", "Clopidogrel"], "answer": 2},
        {
            "question": "Which drug?",
            "opa": "Nifedipine",
            "opb": "Enoxaparin",
            "opc": "Clopidogrel",
            "opd": "Aspirin",
            "cop": 2,
            "id": "x",
        },
        {"question": TEXT, "answer": "C"},
    ],
)
def test_known_shapes(tmp_path: Path, record: dict[str, object]) -> None:
    question = one(tmp_path, record)
    assert isinstance(question.answer_format, ChoiceFormat)
    assert question.gold.value == "C"
    assert question.answer_format.text_of("C") == "Clopidogrel"
    assert "C. Clopidogrel" in question.text


def test_options_are_written_into_the_text_once(tmp_path: Path) -> None:
    given = {"A": "Nifedipine", "B": "Enoxaparin", "C": "Clopidogrel"}
    for text in ("Which drug?", TEXT):
        for record in ({"question": text, "options": given, "answer": "C"}, published(text=text, options=given)):
            assert one(tmp_path, record).text == TEXT


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("Q\nA. one\nB. two", ["one", "two"]),
        ("Q\n(A) one\n(B) two", ["one", "two"]),
        ("Q\nA) one\nB) two\n", ["one", "two"]),
        ("Q\nA: one\nB: two", ["one", "two"]),
        ("Q\na. one\nb. two", ["one", "two"]),
        ("Q\n- A. one\n- B. two", ["one", "two"]),
        ("Q\n\nA. one\n\nB. two\n\nC. three\n\nAnswer with the letter.", ["one", "two", "three"]),
        ("Q\nA. one\nB. two\nAnswer with the letter.", ["one", "two"]),
        ("Q\nA. one\n   and more\nB. two\n   and more", ["one and more", "two and more"]),
        ("Findings:\na) fever\nb) rash\nWhich?\nA. one\nB. two", ["one", "two"]),
        ("A. Smith saw a patient.\nWhich?\nA. one\nB. two", ["one", "two"]),
        ("Which? (A) yes (B) no", ["yes", "no"]),
        ('Q\nA. one\nB. two\n\n"', ["one", "two"]),
        ("Q\r\nA. one\r\nB. two\r\n", ["one", "two"]),
        ("A. one only", []),
        ("No options", []),
    ],
)
def test_option_lines(text: str, texts: list[str]) -> None:
    assert [option.text for option in options_in(text)] == texts


@pytest.mark.parametrize(
    ("record", "field", "message"),
    [
        (published(answer="D"), "eval.answer", "letter without such an option"),
        (published(text="No options here", answer="B"), "eval.answer", "letter without such an option"),
        ({"id": 1, "conversations": [{"from": "human", "value": TEXT}]}, "answer", "missing"),
        (published(answer=" "), "eval.answer", "empty"),
        (published(answer="A", answer_idx="B"), "answer_idx and eval.answer", "disagree"),
        (published(answer="A, B"), "eval.answer", "several options"),
        (published(number=1.5), "id", "expected a text or an integer"),
        (published(number=[]), "id", "expected a text or an integer"),
        (published(number="x" * 600), "id", "longer than 512"),
        (published(answer_idx=float("nan")), "answer_idx", "NaN"),
        ({"id": 1, "conversations": "text"}, "conversations", "expected a list"),
        ({"id": 1, "conversations": [1]}, "conversations[0]", "expected an object"),
        ({"id": 1, "conversations": [{"from": "human", "value": 3}]}, "conversations[0].value", "expected a text"),
        ({"id": 1, "conversations": [{"from": "gpt", "value": "B"}]}, "conversations", "no turn of a human"),
        ({"question": "Q", "options": {str(i): "x" for i in range(10_000)}, "answer": "x"}, "options", "10000 options"),
        ({"question": "Q", "options": ["x"] * 10_000, "answer": 1}, "options", "10000 options"),
        ({"question": "Q", "options": ["x"], "answer": 0}, "options", "at least two"),
        ({"question": "Q", "options": ["x", "y"], "answer": 2}, "answer", "no position"),
        ({"question": "Q", "options": ["x", "y"], "answer": "z"}, "answer", "none of the options"),
        ({"question": "Q", "options": {"A": "x", "B": 1e400}, "answer": "A"}, "options.B", "NaN or infinity"),
        ({"question": 3, "answer": "A"}, "question", "expected a text"),
        ({"question": "\ud800", "answer": "yes"}, "", "surrogate"),
        ({"foo": 1}, "", "no known shape"),
        ([1], "", "expected an object"),
        (
            {"answer_format": {"kind": "pattern"}, "gold": {"value": "(a"}, "id": "1", "text": "Q"},
            "gold.value",
            "regular expression",
        ),
        (
            {"answer_format": {"kind": "number", "unit": 3}, "gold": {"value": "1"}, "id": "1", "text": "Q"},
            "answer_format.number.unit",
            "valid string",
        ),
    ],
)
def test_bad_rows_name_row_and_field(tmp_path: Path, record: object, field: str, message: str) -> None:
    (error,) = problems(write(tmp_path, published(7), record, published(8)))
    assert (error.row, error.field) == (2, field)
    assert message in error.message


def test_no_message_repeats_content(tmp_path: Path) -> None:
    marker = "MARKERTEXT"
    records = [
        published(marker, answer=f"{marker} B"),
        published(marker, answer="Z", text=f"{marker}?\nA. {marker}\nB. y"),
        {"question": marker, "options": {"A": marker, "B": "y"}, "answer": marker + marker},
        {
            "answer_format": {"kind": "number", "unit": [marker]},
            "gold": {"value": marker},
            "id": marker,
            "text": marker,
        },
        {marker: marker},
        {"answer_format": {"kind": "yes-no"}, "gold": {"value": marker}, "id": "1", "text": marker},
    ]
    with pytest.raises(QuestionFileError) as caught:
        load_questions(write(tmp_path, *records))
    assert marker not in str(caught.value).replace(str(tmp_path), "")


def test_all_bad_rows_are_counted_and_the_first_twenty_named(tmp_path: Path) -> None:
    path = write(tmp_path, published(0), *[published(number, answer="Z") for number in range(1, 51)])
    with pytest.raises(QuestionFileError, match="50 bad rows") as caught:
        load_questions(path)
    assert "row 2, eval.answer" in str(caught.value) and "row 21," in str(caught.value)
    assert "row 22," not in str(caught.value) and "30 more" in str(caught.value)
    loaded = load_questions(path, skip_bad_rows=True)
    assert len(loaded.questions) == 1 and loaded.bad_rows == 50 and len(loaded.errors) == 20


def test_duplicate_ids(tmp_path: Path) -> None:
    (error,) = problems(write(tmp_path, published(1), published(2), published("1")))
    assert (error.row, error.field, error.message) == (3, "id", "the id of row 1 again")


def test_missing_ids_are_derived(tmp_path: Path) -> None:
    record = published()
    del record["id"]
    assert one(tmp_path, record).id == "file-1"


@pytest.mark.parametrize("name", ["file.jsonl", "file.json"])
def test_bom_and_crlf_load_silently(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    body = (
        json.dumps([published(1), published(2)], indent=1)
        if name.endswith("json")
        else "\n".join(json.dumps(published(number)) for number in (1, 2))
    )
    path.write_bytes(b"\xef\xbb\xbf" + body.replace("\n", "\r\n").encode())
    loaded = load_questions(path)
    assert [question.id for question in loaded.questions] == ["1", "2"]
    assert loaded.format == ("json" if name.endswith(".json") else "jsonl")


def test_format_is_told_by_content(tmp_path: Path) -> None:
    record = {"question": "Is it?", "answer": "yes", "id": "1"}
    path = tmp_path / "misnamed.txt"
    table = pa.Table.from_pylist([record])
    for kind, write_it in {
        "json": lambda: path.write_text(json.dumps([record])),
        "jsonl": lambda: path.write_text(json.dumps(record)),
        "csv": lambda: path.write_text("id;question;answer\n1;Is it?;yes\n"),
        "parquet": lambda: pa.parquet.write_table(table, path),
    }.items():
        write_it()
        loaded = load_questions(path)
        assert loaded.format == kind and loaded.questions[0].gold.value == "yes"


def test_wrapped_and_pretty_json(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for indent in (None, 2):
        path.write_text(json.dumps({"version": 1, "data": [published(1), published(2)]}, indent=indent))
        assert len(load_questions(path).questions) == 2


def test_mapped_columns(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('nr,stem,note,a,b,c,key\n7,"Which, say?",Old,x,y,,2\n8,Why?,,x,y,z,3\n')
    mapping = ColumnMapping(
        question="stem", answer="key", id="nr", context="note", options=("a", "b", "c"), first_index=1
    )
    first, second = load_questions(path, mapping=mapping).questions
    assert (first.id, first.gold.value, first.has_context) == ("7", "B", True)
    assert first.text == "Old\n\nWhich, say?\nA. x\nB. y"
    assert second.gold.value == "C" and second.has_context is None
    nested = one(
        tmp_path, {"q": {"text": "How much?"}, "a": 2.5}, ColumnMapping(question="q.text", answer="a", unit="mg")
    )
    assert nested.answer_format.kind == "number" and nested.gold.value == "2.5"


def test_bad_csv_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"question,answer\nOne?,yes\nTwo?,\xff\nThree?,yes,more\nFour?\nFive?,no\n")
    assert [(error.row, error.field) for error in problems(path)] == [(2, ""), (3, ""), (4, "answer")]


def test_not_utf8_names_row_and_byte(tmp_path: Path) -> None:
    path = write(tmp_path, published(1))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b'{"question": "\xff"}\n' + json.dumps(published(2)).encode())
    (error,) = problems(path)
    assert error.row == 2 and f"byte {size + 14}" in error.message


@pytest.mark.parametrize("content", [b"", b"  \n\n", b"\xef\xbb\xbf"])
def test_empty_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(QuestionFileError, match="empty"):
        load_questions(path)


@pytest.mark.parametrize("content", [b"[]", b"question,answer\n", b'{"data": []}'])
def test_files_without_questions(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(QuestionFileError):
        load_questions(path)


@pytest.mark.parametrize("array", [False, True])
def test_one_very_long_line(tmp_path: Path, array: bool) -> None:
    path = tmp_path / "file"
    long = json.dumps(published(2, text="x" * 50_000_000))
    rows = [json.dumps(published(1)), long, json.dumps(published(3))]
    path.write_text("[" + ",\n".join(rows) + "]" if array else "\n".join(rows))
    (error,) = problems(path)
    assert error.row == 2 and "longer than 10 MB" in error.message
    assert len(load_questions(path, skip_bad_rows=True).questions) == 2


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps(published(1)) + "\n" + opening * 200_000 + "\n")
    (error,) = problems(path)
    assert error.row == 2
    nested: dict[str, object] = {}
    for _ in range(900):
        nested = {"a": nested}
    path.write_text(json.dumps(published(1, extra=nested)))
    assert len(load_questions(path).questions) == 1


def test_broken_array_reports_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[" + json.dumps(published(1)) + ", {'bad': 1}, " + json.dumps(published(3)) + ", 4]")
    assert [error.row for error in problems(path)] == [2, 4]
    path.write_text("[" + json.dumps(published(1)) + ", ")
    assert [error.row for error in problems(path)] == [2]


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"\x1f\x8b....", b"PK\x03\x04....", "text".encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(QuestionFileError):
            load_questions(path)
    with pytest.raises(QuestionFileError, match="cannot be opened"):
        load_questions(tmp_path / "absent")
    with pytest.raises(QuestionFileError):
        load_questions(tmp_path)
    path.write_bytes(b"PAR1 not really parquet PAR1")
    with pytest.raises(QuestionFileError, match="Parquet"):
        load_questions(path)


def test_limit_stops_reading(tmp_path: Path) -> None:
    path = write(tmp_path, *[published(number) for number in range(5)], {"bad": 1})
    assert len(load_questions(path, limit=3).questions) == 3


def test_the_network_is_off_unless_allowed() -> None:
    from meds3core.data.hub import iterate_hub

    with pytest.raises(ConfigError, match="network"):
        next(iterate_hub("some/data", split="test"))
