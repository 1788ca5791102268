"""A search as a job, alone or shared by several workers: what `meds3 search` does, with the questions handed out by
the database and each finished tree stored there. A later attempt grows only what is missing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, connection

from meds3core.config.jobs import SearchSpec
from meds3core.config.references import Registered
from meds3core.engines.policy import inspect_policy
from meds3core.errors import UserError
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.progress import ProgressEvent
from meds3core.search.forest import TreeFailure, forest
from meds3core.search.grow import Watch, grow
from meds3core.search.opening import Guide, OpenSearch, check_guide, open_search
from meds3core.search.tree import GrowingTree
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.tree import Tree
from webapp.jobs import reports
from webapp.jobs.models import Job
from webapp.jobs.shards import parent_progress
from webapp.registry.models import ModelKind
from webapp.trees import selectors, services
from webapp.trees.growing import GrowingTrees
from webapp.trees.services import ClaimedQuestion
from workers import inputs
from workers.context import JobContext
from workers.devices import device_wait
from workers.patience import patiently

CLAIMED = 8
"""Questions taken at once: few, so that workers that share a search end together."""
TOLD_FAILURES = 20
PARENT_SECONDS = 1.0

Found = TypeVar("Found")


class NothingGrown(UserError):
    """Not one tree of a search could be grown."""

    code = "no-trees"


def run(context: JobContext) -> Mapping[str, Any]:
    """Grow what is missing; the result says how many trees there are, and the hash of them all in question order."""
    spec: SearchSpec = context.spec
    parent = Job.objects.filter(pk=context.job_id).values_list("parent", flat=True).get()
    work = _Search(context, spec, parent or context.job_id, shared=parent is not None)
    total = services.search_prepare(
        search_id=work.search_id, version_id=inputs.registered(spec.questions, "dataset").id, limit=spec.limit
    )
    if not total:
        raise inputs.InputGone("The dataset holds no question. Choose another one.")
    services.questions_reclaim(search_id=work.search_id)
    work.begin()
    first = work.claim()
    if first:
        opening = _opening(context)
        if spec.scorer or not isinstance(spec.engine, Registered):
            device_wait(context)  # what runs elsewhere needs no device here
        connection.close()  # it would idle for hours, and be dead if the database restarts meanwhile
        with GrowingTrees(work.search_id) as growing, ThreadPoolExecutor(1, thread_name_prefix="trees") as writer:
            asyncio.run(until_cancelled(work.grow_all(first, opening, growing, writer), context.cancel))
    return patiently(work.result, context.cancel)


def _opening(context: JobContext) -> AbstractAsyncContextManager[OpenSearch]:
    """The search's engine and reward model, found but not yet built."""
    spec: SearchSpec = context.spec
    served = inputs.served(spec.policy, spec.engine, context.folder)
    guide = Guide(inputs.reward_model(spec.scorer, ModelKind.PRM), spec.scoring) if spec.scorer else None
    check_guide(spec.search, guide)
    return open_search(inspect_policy(served.policy), served.engine, spec.search, seed=spec.seed, guide=guide)


class _Search:
    """One attempt's share of a search."""

    def __init__(self, context: JobContext, spec: SearchSpec, search_id: UUID, *, shared: bool) -> None:
        self.search_id = search_id
        self._context = context
        self._spec = spec
        self._shared = shared
        self._who = {"job_id": context.job_id, "attempt": context.attempt}
        self._policy_id = inputs.registered(spec.policy, "model").id
        self._before = 0
        self._total = 0
        self._own = 0
        self._failures = 0
        self._parent_told = 0.0
        self._held: set[int] = set()

    def begin(self) -> None:
        """Say how far the search is."""
        standing = selectors.search_standing(job_id=self.search_id)
        self._before, self._total = standing.done, standing.total
        told = f"Searching {standing.total - standing.done:,} of {standing.total:,} questions."
        reports.stage_begin(**self._who, name="Search", text=told)
        self._progress()

    def claim(self) -> list[ClaimedQuestion]:
        """The next few questions: those that wait, or those that a lost worker had."""
        count = min(CLAIMED, self._spec.concurrency)

        def take() -> list[ClaimedQuestion]:
            wanted = {"search_id": self.search_id, **self._who, "count": count, "held": self._held}
            found = services.questions_claim(**wanted)
            if not found and services.questions_reclaim(search_id=self.search_id):
                found = services.questions_claim(**wanted)
            return found

        found = patiently(take, self._context.cancel)
        self._held |= {claimed.position for claimed in found}
        return found

    async def grow_all(
        self,
        first: list[ClaimedQuestion],
        opening: AbstractAsyncContextManager[OpenSearch],
        growing: GrowingTrees,
        writer: ThreadPoolExecutor,
    ) -> None:
        """Grow and store trees until no question is left to take."""
        taken: list[ClaimedQuestion] = []
        positions: dict[str, int] = {}

        async def in_turn(act: Callable[[], Found]) -> Found:
            # One thread and so one connection; the trees go on growing meanwhile.
            return await asyncio.get_running_loop().run_in_executor(writer, act)

        async def questions() -> AsyncIterator[Question | OpenQuestion]:
            batch = first
            while batch:
                for claimed in batch:
                    taken.append(claimed)
                    question = claimed.question
                    positions[question.id] = claimed.position
                    yield question if self._spec.search.mode == "training" else question.without_gold()
                batch = await in_turn(self.claim)

        def watch(question: Question | OpenQuestion) -> Watch:
            position = positions[question.id]

            def look(tree: GrowingTree) -> None:
                if growing.due(position):
                    growing.publish(position, snapshot(tree))

            return look

        async with opening as opened:
            tools = opened.tools
            outcomes = forest(
                questions(), lambda question: grow(question, tools, watch(question)), self._spec.concurrency
            )
            try:
                async for outcome in outcomes:
                    await in_turn(partial(self._keep, taken[outcome.position], outcome.result))
            finally:
                await outcomes.aclose()  # type: ignore[attr-defined]

    def result(self) -> Mapping[str, Any]:
        """What is stored. Raises `NothingGrown` when every question failed, and lets a retry try them again."""
        standing = selectors.search_standing(job_id=self.search_id)
        if standing.result is None:
            return {"own_trees": self._own}  # other workers have questions still
        if not standing.result["trees"]:
            codes = services.questions_try_again(search_id=self.search_id, **self._who)
            raise NothingGrown(f"None of the {standing.total:,} trees could be grown ({', '.join(codes)}).")
        return dict(standing.result) | ({"own_trees": self._own} if self._shared else {})

    def _keep(self, claimed: ClaimedQuestion, result: Tree | TreeFailure) -> None:
        patiently(lambda: self._write(claimed, result), self._context.cancel)
        self._held.discard(claimed.position)
        self._own += 1
        self._progress(result if isinstance(result, Tree) else None)

    def _write(self, claimed: ClaimedQuestion, result: Tree | TreeFailure) -> None:
        if isinstance(result, Tree):
            services.tree_store(
                **self._who,
                position=claimed.position,
                tree=result,
                search_id=self.search_id,
                question_row_id=claimed.row_id,
                policy_id=self._policy_id,
            )
            return
        services.question_fail(search_id=self.search_id, **self._who, position=claimed.position, code=result.code)
        self._failures += 1
        if self._failures <= TOLD_FAILURES:
            more = " Further ones are only counted." if self._failures == TOLD_FAILURES else ""
            reports.warning_write(
                **self._who,
                text=f"Question {claimed.position + 1:,} has no tree ({result.code}): {result.reason}{more}",
                position=claimed.position,
            )

    def _progress(self, tree: Tree | None = None) -> None:
        # Of a shared search each worker tells its own trees; its parent tells the whole.
        done, total = (self._own, None) if self._shared else (self._before + self._own, self._total)
        data = {"unit": selectors.UNIT} | ({"nodes": len(tree.nodes) - 1} if tree else {})
        self._context.reporter.emit(ProgressEvent(kind="tree", done=done, total=total, data=data))
        now = time.monotonic()
        if self._shared and now - self._parent_told >= PARENT_SECONDS:
            self._parent_told = now
            try:
                parent_progress(parent_id=self.search_id)
            except DatabaseError:
                connection.close()  # a courtesy: the next one says more


def snapshot(tree: GrowingTree) -> dict[str, Any]:
    """A growing tree as pages read it: the fields of `NodeRow` and a few of the arena's, a row per node."""
    return {
        "nodes": [
            {
                "idx": node.id,
                "parent_idx": node.parent,
                "depth": node.depth,
                "move": node.move.value,
                "value": node.value,
                "right": sum(node.outcomes),
                "rollouts": len(node.outcomes),
                "visits": node.visits,
                "verdict": node.verdict,
                "text": node.text,
                "answer": node.answer,
                "copies": node.copies,
                "truncated": node.truncated,
                "closing": node.closing,
            }
            for node in tree.nodes
        ]
    }
