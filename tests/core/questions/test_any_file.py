"""Any bytes and any records load or give row-numbered errors, and nothing else."""

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meds3core.data.read import iterate_rows
from meds3core.data.rows import ReadLimits
from meds3core.errors import UserError
from meds3core.types.question import Question
from tests.core.questions.files import TEXT

FRAGMENTS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\n",
    b"\\",
    b"\xff",
    b"\xef\xbb\xbf",
    b"null",
    b"NaN",
    b"1e999",
    b"PAR1",
    b'"id"',
    b'"question"',
    b'"answer"',
    b'"options"',
    b'"conversations"',
    b'[{"from":"human","value":"Q\\nA. x\\nB. y"}]',
    b'"eval":{"answer":"B"}',
    b'"\\ud800"',
    b'"A"',
    b"question,answer\n",
    b"Is it?,yes\n",
    b'{"question":"Is it?","answer":"yes"}\n',
    b'{"question":"Q","options":["x","y"],"answer":',
    b"true",
    b"-",
    b"123456789" * 3,
    b"\r\n",
    b"\0",
    b'{"answer_format":{"kind":"pattern"},"gold":{"value":"',
    b'"},"id":"x","text":"t"}',
]


def assert_loads_or_complains(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            for row in iterate_rows(path, limits=ReadLimits(record_bytes=200, document_bytes=2000)):
                assert isinstance(row, Question) or row.row >= 1
        except UserError:
            pass


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=6), max_size=40).map(b"".join))
def test_any_bytes_load_or_give_row_numbered_errors(content: bytes) -> None:
    assert_loads_or_complains(content)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["A", "B", "yes", TEXT]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["from", "value", "answer", "A", "B", "key", "text", "label", "kind"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
_KEYS = [
    "id",
    "question",
    "answer",
    "answer_idx",
    "options",
    "choices",
    "conversations",
    "eval",
    "answer_format",
    "gold",
    "text",
    "opa",
    "opb",
    "cop",
    "context",
    "source",
    "domain",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=8), max_size=4))
def test_any_records_load_or_give_row_numbered_errors(records: list[dict[str, object]]) -> None:
    assert_loads_or_complains(json.dumps(records).encode())
    assert_loads_or_complains("\n".join(map(json.dumps, records)).encode())
