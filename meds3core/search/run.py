"""A search over a file of questions that can be stopped anywhere and continued.

The folder of a run:

    search.json           what is searched with: the same command continues, another one is refused
    trees.partial.jsonl   finished trees in order of arrival, one line each, while the run is not finished
    failures.jsonl        questions whose trees could not be grown, with the reason
    trees.jsonl           all trees in question order, written at the end; byte for byte what an undisturbed run writes

A tree counts from the moment its whole line is on disk; a line cut by a crash is dropped and its tree grown again.
"""

import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from meds3core.data.trees import tree_line
from meds3core.errors import ConfigError, UserError
from meds3core.progress import NullSink, ProgressEvent, ProgressSink
from meds3core.search.forest import TreeFailure, forest
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.tree import Provenance, Tree

MANIFEST = "search.json"
PARTIAL = "trees.partial.jsonl"
FAILURES = "failures.jsonl"
TREES = "trees.jsonl"

GrowOne = Callable[[Question | OpenQuestion], Awaitable[Tree]]


class ScorerProvenance(Record):
    """The reward model that guided a search."""

    model: str
    model_hash: str
    prompt_hash: str


class SearchManifest(Record):
    """What a run is made with. Two runs with equal manifests and questions write equal trees."""

    format: str = "meds3-search/1"
    provenance: Provenance
    config: dict[str, Any]
    scorer: ScorerProvenance | None = None


class SearchResult(Record):
    """How a call of `run_search` ended."""

    trees: int
    failures: int
    reused: int
    """Trees that an earlier call had grown."""


async def run_search(
    questions: Sequence[Question | OpenQuestion],
    grow_one: GrowOne,
    manifest: SearchManifest,
    folder: Path,
    *,
    concurrency: int,
    retry_failed: bool = False,
    sink: ProgressSink | None = None,
) -> SearchResult:
    """Grow what is missing in `folder` and, when nothing is, write `trees.jsonl`.

    Cancelling the awaiting task stops every tree in flight and leaves a folder that the same call continues.
    Raises `ConfigError` when the folder belongs to another search or holds trees of questions not asked for.
    """
    sink = sink or NullSink()
    store = SearchStore(folder, manifest, questions)
    try:
        store.open(retry_failed=retry_failed)
        missing = store.missing()
        reused = len(store.lines)
        total = len(questions)
        sink.emit(ProgressEvent(kind="search-started", done=total - len(missing), total=total))
        if missing:
            outcomes = forest((questions[position] for position in missing), grow_one, concurrency)
            try:
                async for outcome in outcomes:
                    store.keep(missing[outcome.position], outcome.result)
                    sink.emit(_progress(outcome.result, store, total))
            finally:
                await outcomes.aclose()  # type: ignore[attr-defined]
        store.finish()
        return SearchResult(trees=len(store.lines), failures=len(store.failures), reused=reused)
    finally:
        store.close()


def _progress(result: Tree | TreeFailure, store: "SearchStore", total: int) -> ProgressEvent:
    data: dict[str, Any] = {"failures": len(store.failures)}
    if isinstance(result, Tree):
        data |= {
            "nodes": len(result.nodes) - 1,
            "rollouts": result.totals.rollouts,
            "generated_tokens": result.totals.generated_tokens,
            "solved": any(node.verdict for node in result.nodes),
            "stop_reason": result.stop_reason.value,
        }
    return ProgressEvent(kind="tree", done=len(store.lines) + len(store.failures), total=total, data=data)


class SearchStore:
    """The folder of a run. `lines` maps a question's position to the place of its tree's line in the partial file."""

    def __init__(self, folder: Path, manifest: SearchManifest, questions: Sequence[Question | OpenQuestion]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.questions = questions
        self.positions = {question.id: position for position, question in enumerate(questions)}
        self.lines: dict[int, tuple[int, int]] = {}
        self.failures: dict[int, TreeFailure] = {}
        self._partial: BinaryIO | None = None
        self._synced = 0.0
        if len(self.positions) != len(questions):
            raise UserError("two questions share an id; ids must be unique within a search")

    def open(self, *, retry_failed: bool = False) -> None:
        """Claim the folder and read what an earlier call left in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_manifest()
        partial, finished = self.folder / PARTIAL, self.folder / TREES
        if finished.exists() and not partial.exists():
            # A finished run asked for more questions: its trees are the beginning of the new one. Copied, so that
            # the finished file stays until the new one replaces it.
            _copy(finished, partial)
        self._partial = partial.open("a+b")
        self._read_partial(self._partial)
        if not retry_failed:
            self._read_failures()

    def missing(self) -> list[int]:
        """Positions of the questions that have neither tree nor recorded failure, in question order."""
        return [
            position
            for position in range(len(self.questions))
            if position not in self.lines and position not in self.failures
        ]

    def keep(self, position: int, result: Tree | TreeFailure) -> None:
        """Put a tree or a failure on disk."""
        if isinstance(result, TreeFailure):
            self.failures[position] = result
            self._write_failures()
            return
        assert self._partial is not None
        line = (tree_line(result) + "\n").encode()
        start = self._partial.seek(0, os.SEEK_END)
        self._partial.write(line)
        # A killed process loses nothing that was flushed; only a power cut needs more, and at most a second is lost.
        self._partial.flush()
        if time.monotonic() - self._synced > 1.0:
            os.fsync(self._partial.fileno())
            self._synced = time.monotonic()
        self.lines[position] = (start, len(line))

    def finish(self) -> None:
        """Write `trees.jsonl` in question order, then drop the partial file."""
        assert self._partial is not None
        temporary = self.folder / (TREES + ".tmp")
        with temporary.open("wb") as target:
            for position in sorted(self.lines):
                start, length = self.lines[position]
                self._partial.seek(start)
                target.write(self._partial.read(length))
            target.flush()
            os.fsync(target.fileno())
        self._write_failures()
        temporary.replace(self.folder / TREES)
        (self.folder / PARTIAL).unlink()

    def close(self) -> None:
        """Close the partial file."""
        if self._partial is not None:
            self._partial.close()

    def _check_manifest(self) -> None:
        path = self.folder / MANIFEST
        wanted = self.manifest.model_dump(mode="json")
        if not path.exists():
            foreign = [name for name in (PARTIAL, TREES) if (self.folder / name).exists()]
            if foreign:
                raise ConfigError(f"{self.folder} holds {foreign[0]} but no {MANIFEST}: give another --out folder")
            _write_atomically(path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ConfigError(f"{path} is damaged: give another --out folder") from None
        differences = list(_differences(found, wanted))
        if differences:
            raise ConfigError(
                f"{self.folder} holds another search ({'; '.join(differences[:5])}): give another --out folder, "
                "or the same settings to continue it"
            )

    def _read_partial(self, file: BinaryIO) -> None:
        start = file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                question = json.loads(line)["question"]
                question_id = question["id"]
            except (ValueError, KeyError, TypeError):
                break
            position = self.positions.get(question_id)
            if position is None:
                raise ConfigError(
                    f"{self.folder} holds trees of questions that were not asked for now: give all its questions "
                    "again, or another --out folder"
                )
            wanted = json.loads(self.questions[position].model_dump_json())
            if question != wanted:
                raise ConfigError(
                    f"question {question_id!r} has changed since its tree was grown in {self.folder}: "
                    "give another --out folder"
                )
            self.lines[position] = (start, len(line))
            start += len(line)
        # What follows the last whole line was cut by a crash; the next tree must not be glued to it.
        file.truncate(start)

    def _read_failures(self) -> None:
        path = self.folder / FAILURES
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            failure = TreeFailure.model_validate_json(line)
            position = self.positions.get(failure.id)
            if position is not None and position not in self.lines:
                self.failures[position] = failure

    def _write_failures(self) -> None:
        path = self.folder / FAILURES
        if not self.failures:
            path.unlink(missing_ok=True)
            return
        lines = [self.failures[position].model_dump_json() + "\n" for position in sorted(self.failures)]
        _write_atomically(path, "".join(lines))


def _differences(found: Any, wanted: Any, name: str = "") -> Any:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if key in ("config_hash",):  # says only that something in config differs, which is named itself
                continue
            yield from _differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
    elif found != wanted:
        yield f"{name} there {found!r}, here {wanted!r}"


def _write_atomically(path: Path, text: str) -> None:
    # One temporary name, unlike data.write.atomic_text's: what a killed call left behind, the next one writes over.
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(target.name + ".tmp")
    with source.open("rb") as reader, temporary.open("wb") as writer:
        while block := reader.read(1 << 20):
            writer.write(block)
    temporary.replace(target)
