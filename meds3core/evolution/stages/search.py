"""Stages that grow trees: a search over a share of the questions, and the merger of such shares."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig
from meds3core.config.search import SearchConfig
from meds3core.data.read import load_questions
from meds3core.data.trees import read_trees, write_trees
from meds3core.engines.policy import inspect_policy
from meds3core.errors import AppError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.stages.waiting import until_cancelled
from meds3core.prm.card import inspect_reward_model
from meds3core.search.grow import grow
from meds3core.search.opening import Guide, open_search
from meds3core.search.run import FAILURES, TREES, SearchResult, run_search
from meds3core.types.question import Question
from meds3core.types.record import Record

ENGINE = "meds3core.engines.transformers.engine"
"""What most searches and samplings import."""


class SearchStage(Record):
    """Inputs: `questions`, a file; `policy`, a folder; for simulation `scorer` also `prm`, a folder.

    Makes `trees.jsonl`.
    """

    search: SearchConfig
    engine: EngineConfig = TransformersEngineConfig()
    scorer: ScorerConfig = ScorerConfig()
    seed: int = 0
    limit: int | None = Field(default=None, ge=1, description="Only the first questions")
    concurrency: int = Field(default=64, ge=1, description="Trees that grow at once")
    share: int = Field(default=0, ge=0, description="Which of `shares` equal shares of the questions, every n-th each")
    shares: int = Field(default=1, ge=1)


class MergeStage(Record):
    """Inputs: `questions`, the file that was searched; `trees`, the files of its shares. Makes `trees.jsonl`."""

    limit: int | None = Field(default=None, ge=1)


SEARCH = StageKind("search", 1, SearchStage, f"{__name__}:run", (ENGINE,), seconds_per_unit=0.035)
MERGE = StageKind("merge", 1, MergeStage, f"{__name__}:merge", seconds_per_unit=0.002)


def run(settings: SearchStage, job: StageJob) -> dict[str, Any]:
    """Grow the share's trees."""
    questions = load_questions(job.path("questions"), limit=settings.limit).questions
    share = questions[settings.share :: settings.shares]
    result = asyncio.run(_search(share, settings, job))
    if not result.trees and result.failures:
        raise AppError(f"none of the {result.failures} trees could be grown; reasons: {job.folder / FAILURES}")
    return {"questions": len(share), "failures": result.failures, **tree_figures(job)}


async def _search(questions: Sequence[Question], settings: SearchStage, job: StageJob) -> SearchResult:
    folder = inspect_policy(job.path("policy"))
    guide = next((Guide(inspect_reward_model(path), settings.scorer) for path in job.paths("prm")), None)
    async with open_search(folder, settings.engine, settings.search, seed=settings.seed, guide=guide) as opened:
        work = run_search(
            questions,
            lambda question: grow(question, opened.tools),
            opened.manifest,
            job.folder,
            concurrency=settings.concurrency,
            sink=job.sink,
        )
        return await until_cancelled(work, job.cancel)


def merge(settings: MergeStage, job: StageJob) -> dict[str, Any]:
    """One file of all shares' trees, in question order, as an undivided search would have written it."""
    questions = load_questions(job.path("questions"), limit=settings.limit).questions
    positions = {question.id: position for position, question in enumerate(questions)}
    trees = [tree for path in job.paths("trees") for tree in read_trees(path)]
    trees.sort(key=lambda tree: positions[tree.question.id])
    write_trees(job.folder / TREES, trees)
    return tree_figures(job)


def tree_figures(job: StageJob) -> dict[str, Any]:
    """What the finished trees hold."""
    figures = dict.fromkeys(("trees", "solved", "nodes", "rollouts", "right_rollouts", "generated_tokens"), 0)
    for tree in read_trees(job.folder / TREES):
        figures["trees"] += 1
        figures["solved"] += any(node.verdict for node in tree.nodes)
        figures["nodes"] += len(tree.nodes) - 1
        figures["rollouts"] += tree.totals.rollouts
        figures["right_rollouts"] += sum(sum(node.outcomes) for node in tree.nodes)
        figures["generated_tokens"] += tree.totals.generated_tokens
    return figures
