"""The limited process that opens an uploaded file: `python -m workers.read_file`, started by workers.reading alone.

One order on its input, one line for each thing on its output: `V` a preview, `Q` a question, `J` a judgement, `E` a
row that is none, `P` the place in the file, `!` why the file is refused, `.` the end. Knows no Django and no database.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from meds3core.data.preview import preview_file
from meds3core.data.read import iterate_numbered
from meds3core.data.records import ColumnMapping
from meds3core.data.rows import RowError
from meds3core.errors import UserError

_PLACE_EVERY = 500
_MEMORY = "The file needs more memory than an import may use. Split it, or send it in another format."


def main() -> None:
    """Do what is asked; every end but a crash is said."""
    gc.freeze()  # the modules stay: nothing of them is worth looking for
    order = json.loads(sys.stdin.read())
    path = Path(order["path"])
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # what libraries print must not get between
    try:
        mapping = ColumnMapping.model_validate(order["mapping"]) if order["mapping"] else None
        if order["what"] == "judgements":
            _judgements(out, path, order["form"], order["skip"])
        elif order["what"] == "preview":
            found = preview_file(path, mapping=mapping, stem=order["stem"])
            out.write(b"V" + found.model_dump_json().encode() + b"\n")
        else:
            _rows(out, path, mapping, order["stem"], order["skip"])
        out.write(b".\n")
    except UserError as error:
        out.write(b"!" + json.dumps(_without_path(str(error), path)).encode() + b"\n")
    except MemoryError:
        out.write(b"!" + json.dumps(_MEMORY).encode() + b"\n")
    out.flush()


def _rows(out: BinaryIO, path: Path, mapping: ColumnMapping | None, stem: str, skip: int) -> None:
    opened: list[Any] = []
    rows = iterate_numbered(path, mapping=mapping, stem=stem, opened=opened.append)
    for count, row in enumerate(rows):
        if count % _PLACE_EVERY == 0 and opened:
            out.write(b"P%d\n" % opened[0].tell())
        if count < skip:
            continue
        if isinstance(row, RowError):
            told = row.model_copy(update={"field": _plain(row.field), "message": _plain(row.message)})
            out.write(b"E" + told.model_dump_json().encode() + b"\n")
        else:
            out.write(b"Q" + row.question.model_dump_json().encode() + b"\n")


def _judgements(out: BinaryIO, path: Path, form: Any, skip: int) -> None:
    from meds3core.judgements.files import read_judgements

    opened: list[Any] = []
    for count, row in enumerate(read_judgements(path, form=form, opened=opened.append)):
        if count % _PLACE_EVERY == 0 and opened:
            out.write(b"P%d\n" % opened[0].tell())
        if count < skip:
            continue
        if isinstance(row, RowError):
            told = row.model_copy(update={"field": _plain(row.field), "message": _plain(row.message)})
            out.write(b"E" + told.model_dump_json().encode() + b"\n")
        else:
            out.write(b"J" + row.model_dump_json().encode() + b"\n")


def _plain(text: str) -> str:
    """Without what no database can hold: a field's name comes from the file."""
    return text[:300].replace("\0", "\ufffd").encode(errors="replace").decode()


def _without_path(message: str, path: Path) -> str:
    """The message as a sentence about "the file": where it lies is nobody's business."""
    plain = message.removeprefix(f"{path}: ").replace(str(path), "the file").rstrip(".")
    return f"T{plain[1:]}." if plain.startswith("the file") else f"The file is refused: {plain}."


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # threads of a format's library must not hold it up
