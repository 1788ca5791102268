"""The report as a file: self-contained, inert, the same every time. What a browser makes of it: tests/browser."""

import base64
import gzip
import json
import re
from pathlib import Path

from meds3core.data.trees import Failure, tree_line
from meds3core.report.page import write_report
from meds3core.report.standalone import inert_json
from tests.core.trees.factory import question, tree

HOSTILE = "</script><script>document.title='owned'</script><!-- <script> \u2028 <img src=x onerror=alert(1)> {{ 7*7 }}"


def _written(tmp_path: Path, **options: object) -> str:
    hostile = tree(1, of=question(1, identity=HOSTILE[:60], text=HOSTILE))
    out = tmp_path / "report.html"
    write_report([tree(0), hostile], [Failure(id="x", code="<b>", reason=HOSTILE)], out, notes=[HOSTILE])
    return out.read_text(encoding="utf-8")


def test_hostile_text_cannot_leave_its_place(tmp_path: Path) -> None:
    page = _written(tmp_path)
    assert "owned'</script>" not in page and "<img src=x" not in page and "<!-- <script>" not in page
    assert page.count("<script") == 4 == page.count("</script>")  # index, script, two trees
    index = re.search(r'id="index">(.*?)</script>', page, re.DOTALL)
    assert index is not None and json.loads(index[1])["questions"][1]["text"] == HOSTILE


def test_every_tree_is_its_line(tmp_path: Path) -> None:
    blobs = re.findall(r'id="tree-\d+">(.*?)</script>', _written(tmp_path))
    assert gzip.decompress(base64.b64decode(blobs[0])).decode() == tree_line(tree(0))


def test_nothing_is_loaded_and_nothing_changes(tmp_path: Path) -> None:
    page = _written(tmp_path)
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:|//|file:)""", page)
    assert "default-src 'none'" in page and "unsafe" not in page
    assert page == _written(tmp_path)


def test_no_trees_and_no_gold(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.html"
    assert write_report([], [], out).questions == 0
    assert write_report([tree(0, of=question(0).without_gold())], [], out).judged == 0
    assert [each.name for each in out.parent.iterdir()] == ["report.html"]


def test_inert_json_is_json() -> None:
    value = {"a": "</script>\u2028<!--&", "b": [1, None]}
    assert json.loads(inert_json(value)) == value and not re.search("[<>&\u2028]", inert_json(value))
