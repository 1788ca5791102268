"""The self-check: a small search over clinic questions with the bundled policy, as any search is run.

Each finished tree is a file and a recorded checkpoint; a later attempt grows only what is missing. The engine is
batch-invariant, so the result is the same however often the job was interrupted.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from meds3core.config.engine import TransformersEngineConfig
from meds3core.config.jobs import SelfCheckSpec
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.data.trees import tree_line
from meds3core.engines.loading import load_engine
from meds3core.errors import AppError
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.progress import ProgressEvent
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.search.base import SearchTools
from meds3core.search.forest import TreeFailure, forest
from meds3core.search.grow import grow
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import Question
from meds3core.verify.judge import verifier_for
from webapp.jobs import reports
from workers.context import JobContext
from workers.devices import device_wait
from workers.patience import patiently


def run(context: JobContext) -> Mapping[str, Any]:
    """Grow the trees; the result says how many, and the hash of them all in question order."""
    spec: SelfCheckSpec = context.spec
    questions = generate("train", spec.questions, spec.seed)
    lines = _kept(context)
    reports.stage_begin(
        job_id=context.job_id, attempt=context.attempt, name="Search", text=f"Searching {len(questions)} questions."
    )
    missing = [question for question in questions if question.id not in lines]
    context.reporter.emit(ProgressEvent(kind="search-started", done=len(lines), total=len(questions)))
    if missing:
        device_wait(context)
        asyncio.run(until_cancelled(_search(context, spec, missing, lines), context.cancel))
    digest = hashlib.blake2b(digest_size=16)
    for question in questions:
        digest.update(lines[question.id].encode() + b"\n")
    return {"trees": len(questions), "content_hash": digest.hexdigest()}


async def _search(context: JobContext, spec: SelfCheckSpec, missing: Sequence[Question], lines: dict[str, str]) -> None:
    engine = load_engine(policy_folder(), TransformersEngineConfig(batch_invariant=True))
    try:
        tools = SearchTools(engine, verifier_for, TEMPLATES["plain"], _search_config(spec), seed=spec.seed)
        outcomes = forest(missing, lambda question: grow(question, tools), spec.concurrency)
        try:
            async for outcome in outcomes:
                question, tree = missing[outcome.position], outcome.result
                if isinstance(tree, TreeFailure):
                    raise AppError(f"the tree of question {question.id} could not be grown ({tree.code})")
                lines[question.id] = tree_line(tree)
                await asyncio.to_thread(_keep, context, question.id, lines[question.id], len(lines))
                context.reporter.emit(ProgressEvent(kind="tree", done=len(lines), total=spec.questions))
        finally:
            await outcomes.aclose()  # type: ignore[attr-defined]
    finally:
        await engine.close()


def _search_config(spec: SelfCheckSpec) -> SearchConfig:
    return PRESETS["quick"].model_copy(
        update={"max_nodes": spec.max_nodes, "rollouts": spec.rollouts, "min_rollouts": spec.rollouts}
    )


def _keep(context: JobContext, name: str, line: str, done: int) -> None:
    """One tree on disk under its final name, then in the database."""
    path = context.folder / f"{name}.json"
    draft = path.with_name(path.name + ".tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    record = partial(
        reports.checkpoint_record,
        job_id=context.job_id,
        attempt=context.attempt,
        name=name,
        path=path,
        digest=_digest(line),
        label=f"tree {done:,}",
    )
    patiently(record, context.cancel)


def _kept(context: JobContext) -> dict[str, str]:
    """Trees that earlier attempts recorded. A file that is gone or damaged is grown again."""
    found = {}
    for name, checkpoint in context.checkpoints.items():
        path: Path = context.job_folder / checkpoint.path
        try:
            line = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if _digest(line) == checkpoint.digest:
            found[name] = line
    return found


def _digest(line: str) -> str:
    return hashlib.blake2b(line.encode(), digest_size=16).hexdigest()
