"""A search over a file of questions that can be stopped anywhere and continued.

The folder of a run:

    search.json           what is searched with: the same command continues, another one is refused; `finished` in it is
                          null until all is there, then holds the content hash of trees.jsonl
    trees.partial.jsonl   finished trees in order of arrival, one line each, while the run is not finished
    failures.jsonl        questions whose trees could not be grown, with the reason
    trees.jsonl           all trees in question order, written at the end; byte for byte what an undisturbed run writes

A tree counts from the moment its whole line is on disk; a line cut by a crash is dropped and its tree grown again
(see `data.run_folder`).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from meds3core.data.run_folder import FAILURES, FolderForm, RunFolder
from meds3core.data.trees import tree_line
from meds3core.errors import ConfigError
from meds3core.progress import NullSink, ProgressEvent, ProgressSink
from meds3core.search.forest import TreeFailure, forest
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.tree import Provenance, Tree

__all__ = ["FAILURES", "TREES", "ScorerProvenance", "SearchManifest", "SearchResult", "run_search"]

TREES = "trees.jsonl"

FORM = FolderForm(manifest="search.json", lines=TREES, noun="trees", key_of=lambda row: str(row["question"]["id"]))

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
    identity = manifest.model_dump(mode="json")
    keys = [question.id for question in questions]
    store = RunFolder(folder, FORM, identity, keys, lambda position, row: _is_of(questions[position], row, folder))
    try:
        store.open(retry_failed=retry_failed)
        missing = store.missing()
        reused = store.done
        total = len(questions)
        sink.emit(ProgressEvent(kind="search-started", done=total - len(missing), total=total))
        if missing:
            outcomes = forest((questions[position] for position in missing), grow_one, concurrency)
            try:
                async for outcome in outcomes:
                    position, result = missing[outcome.position], outcome.result
                    if isinstance(result, TreeFailure):
                        store.keep_failure(position, result)
                    else:
                        store.keep(position, tree_line(result))
                    sink.emit(_progress(result, store, total))
            finally:
                await outcomes.aclose()  # type: ignore[attr-defined]
        store.finish({"questions": total})
        return SearchResult(trees=store.done, failures=len(store.failures), reused=reused)
    finally:
        store.close()


def _is_of(question: Question | OpenQuestion, row: Any, folder: Path) -> bool:
    if row["question"] != json.loads(question.model_dump_json()):
        raise ConfigError(
            f"question {question.id!r} has changed since its tree was grown in {folder}: give another --out folder"
        )
    return True


def _progress(result: Tree | TreeFailure, store: RunFolder, total: int) -> ProgressEvent:
    data: dict[str, Any] = {"failures": len(store.failures)}
    if isinstance(result, Tree):
        data |= {
            "nodes": len(result.nodes) - 1,
            "rollouts": result.totals.rollouts,
            "generated_tokens": result.totals.generated_tokens,
            "solved": any(node.verdict for node in result.nodes),
            "stop_reason": result.stop_reason.value,
        }
    return ProgressEvent(kind="tree", done=store.done + len(store.failures), total=total, data=data)
