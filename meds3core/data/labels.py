"""Label sets on disk: a folder with `labels.json` (what it is, what it was made from) and `records.jsonl`.

A folder appears whole or not at all and is never written over. What was written is what is read.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from meds3core.config.labels import AnyLabelConfig
from meds3core.data.trees import TreeFileError, json_of, kind_of, lines_of
from meds3core.errors import UserError
from meds3core.labels.base import LabelRecord, LabelSet
from meds3core.types.labels import LabelCounts, LabelledTrajectory, PreferencePair, SftExample
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

CARD, RECORDS = "labels.json", "records.jsonl"

_RECORD_TYPES: dict[str, type[SftExample] | type[PreferencePair] | type[LabelledTrajectory]] = {
    "sft": SftExample,
    "pairs": PreferencePair,
    "steps": LabelledTrajectory,
}


class LabelFileError(UserError):
    """A label set cannot be read. The message names the file, the line and the field, never a text."""

    code = "label-file"


class LabelSource(Record):
    """Something a label set was made from: a file of trees, of people's labels, a judge, or a queue."""

    role: Literal["trees", "human", "judge", "queue"] = "trees"
    name: str
    hash: str = Field(default="", description="Of the file's content; empty for a judge, whose name says all")


class LabelCard(Record):
    """What a label set is: the content of `labels.json`."""

    format: Literal["meds3-labels/1"] = "meds3-labels/1"
    kind: Literal["sft", "pairs", "steps"]
    config: AnyLabelConfig = Field(discriminator="kind")
    counts: LabelCounts
    records_hash: str = Field(description="Digest of records.jsonl")
    policy_hashes: tuple[str, ...] = Field(default=(), description="Of the policies that wrote the steps, sorted")
    prompt_hashes: tuple[str, ...] = ()
    sources: tuple[LabelSource, ...] = ()
    by_chance: tuple[str, ...] = Field(
        default=(), description="Names (prefix hashes) of the judged steps that chance chose, sorted"
    )

    @property
    def queues(self) -> frozenset[str]:
        """Where the judgements came from that it was made of."""
        named = (source.name.split(", ") for source in self.sources if source.role == "queue")
        return frozenset(name for names in named for name in names)


def file_source(path: Path, role: Literal["trees", "human"] = "trees") -> LabelSource:
    """A source file with the digest of its content. Raises `LabelFileError`."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise LabelFileError(f"{path}: cannot be read ({error.strerror})") from error
    return LabelSource(role=role, name=path.name, hash=digest.hexdigest())


def write_labels(folder: Path, label_set: LabelSet, sources: Sequence[LabelSource] = ()) -> LabelCard:
    """Write a label set to a new folder.

    Raises:
        EmptyLabelSet: it holds no record.
        UserError: the folder exists, or cannot be written to; nothing is left behind.
    """
    label_set.require_kept()
    refuse_existing(folder)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name[:100]}.", suffix=".partial"))
        card = _write_files(temporary, label_set, sources)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        temporary.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return card


def refuse_existing(folder: Path) -> None:
    """Raise `UserError` where something lies already."""
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: exists already, and label sets are never written over. Choose a new folder.")


def _write_files(folder: Path, label_set: LabelSet, sources: Sequence[LabelSource]) -> LabelCard:
    digest = hashlib.blake2b(digest_size=16)
    policies: set[str] = set()
    prompts: set[str] = set()
    with (folder / RECORDS).open("wb") as file:
        for record in label_set.records:
            line = record.model_dump_json().encode() + b"\n"
            digest.update(line)
            file.write(line)
            policies.add(record.origin.policy_hash)
            prompts.add(record.origin.prompt_hash)
        _sync(file)
    card = LabelCard(
        kind=label_set.kind,
        config=label_set.config,
        counts=label_set.counts,
        records_hash=digest.hexdigest(),
        policy_hashes=tuple(sorted(policies - {""})),
        prompt_hashes=tuple(sorted(prompts - {""})),
        sources=tuple(sources),
        by_chance=tuple(sorted(label_set.by_chance)),
    )
    with (folder / CARD).open("wb") as file:
        file.write(card.model_dump_json(indent=2).encode() + b"\n")
        _sync(file)
    return card


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def read_card(folder: Path) -> LabelCard:
    """What the label set in this folder is, without its records. Raises `LabelFileError`."""
    path = folder / CARD
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabelFileError(
            f"{path}: cannot be read ({error.strerror}). A label set is a folder that `meds3 labels build` wrote."
        ) from error
    try:
        return LabelCard.model_validate_json(content)
    except ValidationError as error:
        raise LabelFileError(f"{path}: {_problem(error)}") from error


def read_labels(folder: Path) -> LabelSet:
    """Read a label set and check it against its card.

    Raises `LabelFileError` with file, line and field; also where records were added, lost or changed since.
    """
    card = read_card(folder)
    path = folder / RECORDS
    digest = hashlib.blake2b(digest_size=16)
    records = tuple(_records(path, card, digest))
    if len(records) != card.counts.kept or digest.hexdigest() != card.records_hash:
        raise LabelFileError(
            f"{path}: not the {card.counts.kept} records that {CARD} tells of: it was changed. Build the set anew."
        )
    return LabelSet(card.config, records, card.counts, frozenset(card.by_chance))


def _records(path: Path, card: LabelCard, digest: hashlib.blake2b) -> Iterator[LabelRecord]:
    kind = _RECORD_TYPES[card.kind]
    shared = _Shared()
    for number, line, ended in _lines(path):
        digest.update(line)
        where = f"{path}, line {number}"
        row = _row(line, path, number, ended)
        try:
            yield kind.model_validate(shared.row(row))
        except ValidationError as error:
            raise LabelFileError(f"{where}: {_problem(error)}") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    try:
        yield from lines_of(path)
    except TreeFileError as error:
        raise LabelFileError(str(error)) from error


def read_human_labels(path: Path) -> dict[str, float]:
    """People's labels from JSONL, one `{"prefix_hash": …, "label": …}` a line, by prefix hash.

    Several labels of one step become their mean; other fields (who, when) are left alone. Raises `LabelFileError`.
    """
    given: dict[str, list[float]] = {}
    for number, line, ended in _lines(path):
        where = f"{path}, line {number}"
        row = _row(line, path, number, ended)
        step, label = row.get("prefix_hash"), row.get("label")
        if not isinstance(step, str) or not step:
            raise LabelFileError(f"{where}: field 'prefix_hash': expected a text, found {kind_of(step)}")
        if not isinstance(label, int | float) or not 0.0 <= label <= 1.0:
            raise LabelFileError(f"{where}: field 'label': expected a number between 0 and 1")
        given.setdefault(step, []).append(float(label))
    if not given:
        raise LabelFileError(f"{path}: no label in it")
    return {step: sum(labels) / len(labels) for step, labels in given.items()}


def _row(line: bytes, path: Path, number: int, ended: bool) -> dict[str, Any]:
    try:
        row = json_of(line, path, number, ended)
    except TreeFileError as error:
        raise LabelFileError(str(error)) from error
    if not isinstance(row, dict):
        raise LabelFileError(f"{path}, line {number}: expected an object, found {kind_of(row)}")
    return row


class _Shared:
    """Questions and steps come again in record after record: one copy of each is kept."""

    def __init__(self) -> None:
        self._questions: dict[str, tuple[dict[str, Any], OpenQuestion]] = {}
        self._texts: dict[str, str] = {}

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its repeated parts replaced by the kept ones."""
        for name in ("bodies", "prefix", "chosen", "rejected", "prefix_hashes"):
            texts = row.get(name)
            if isinstance(texts, list):
                row[name] = [self._texts.setdefault(text, text) if isinstance(text, str) else text for text in texts]
        question = row.get("question")
        if isinstance(question, dict) and isinstance(question.get("text"), str):
            known = self._questions.get(question["text"])
            if known is None or known[0] != question:
                try:
                    known = (question, OpenQuestion.model_validate(question))
                except ValidationError:
                    return row  # the record as a whole is refused, with its place
                self._questions[question["text"]] = known
            row["question"] = known[1]
        return row


def _problem(error: ValidationError) -> str:
    """Field and complaint of the first problem, without values."""
    issue = error.errors(include_url=False, include_input=False)[0]
    complaint = issue["msg"].removeprefix("Value error, ")
    return f"field '{'.'.join(map(str, issue['loc']))}': {complaint}" if issue["loc"] else complaint
