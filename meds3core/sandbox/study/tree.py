"""Tree search at inference against strategies over samples at equal tokens: a stage that answers, one that compares."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from pydantic import Field

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig
from meds3core.config.search import SearchConfig
from meds3core.data.read import load_questions
from meds3core.data.write import atomic_text
from meds3core.decoding.answer import Answer
from meds3core.decoding.answers import AnswerSet, AnswerSource, answer_all, read_answers
from meds3core.decoding.equal_tokens import EqualTokens, at_equal_tokens
from meds3core.decoding.metering import SharedScorer
from meds3core.decoding.samples import SampleSet, read_samples
from meds3core.decoding.scores import ScoreSet, score_samples
from meds3core.decoding.tree import answer_by_tree
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import inspect_policy
from meds3core.errors import AppError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.evolution.stages.search import ENGINE
from meds3core.prm.loading import load_scorer
from meds3core.sandbox.study.reward import CONSENSUS, FIGURES, RewardFigures
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

CHOSEN, BEST_OF_N = "chosen", "best-of-n"
_SCORES = "scores"


class TreeAnswerStage(Record):
    """Inputs: `questions`, a file; `policy` and `prm`, folders. Its folder is a set of answers."""

    search: SearchConfig
    engine: EngineConfig = TransformersEngineConfig()
    scorer: ScorerConfig = ScorerConfig()
    seed: int = 0
    limit: int | None = Field(default=None, ge=1, description="Only the first questions")
    concurrency: int = Field(default=64, ge=1, description="Trees that grow at once")


class EqualTokensStage(Record):
    """Inputs: `answers` of the tree search; `samples` of the same policy and questions; `prm`; `chosen`, the reward
    model's `figures.json`, which name the strategy that validation questions chose. Makes `figures.json`.
    """

    policy: str = Field(description="Whose choice in `chosen` is taken")
    scorer: ScorerConfig = ScorerConfig()


TREE_ANSWERS = StageKind(
    "tree-answers", 1, TreeAnswerStage, f"{__name__}:answer", (ENGINE, "meds3core.prm.scorer"), seconds_per_unit=0.7
)
EQUAL_TOKENS = StageKind(
    "equal-tokens", 1, EqualTokensStage, f"{__name__}:compare", ("meds3core.prm.scorer",), seconds_per_unit=0.004
)


class Rival(Record):
    """A strategy over as many samples as cost what the tree search did."""

    role: str = Field(description="chosen (on validation questions), best-of-n or self-consistency")
    name: str
    n: int
    affordable: float = Field(description="Samples that the budget would pay for; more than n: more were not drawn")
    tokens: float = Field(description="Per question, generated plus scored")
    right: tuple[float, ...]


class TreeFigures(Record):
    """Tree search and its rivals on the same questions."""

    question_ids: tuple[str, ...]
    right: tuple[float, ...]
    tokens: float
    generated_tokens: float
    nodes: float = Field(description="Per question")
    rivals: tuple[Rival, ...]


def answer(settings: TreeAnswerStage, job: StageJob) -> dict[str, Any]:
    """Grow a tree for every question and vote."""
    found = asyncio.run(_answer(settings, job))
    if not found.rows:
        raise AppError(f"none of the {len(found.failures)} questions could be answered; see failures.jsonl beside")
    return {
        "questions": len(found.rows),
        "failures": len(found.failures),
        "right": sum(row.correct is True for row in found.rows),
        "tokens": round(found.mean_tokens, 1),
    }


async def _answer(settings: TreeAnswerStage, job: StageJob) -> AnswerSet:
    questions = load_questions(job.path("questions"), limit=settings.limit).questions
    folder = inspect_policy(job.path("policy"))
    config = settings.search
    prompt = TEMPLATES[folder.prompt if config.prompt == "auto" else config.prompt]
    async with AsyncExitStack() as stack:
        engine = load_engine(folder.path, settings.engine)
        stack.push_async_callback(engine.close)
        scorer = load_scorer(job.path("prm"), settings.scorer)
        stack.callback(scorer.close)
        shared = await stack.enter_async_context(SharedScorer(scorer))

        async def answer_one(question: OpenQuestion) -> Answer:
            return (await answer_by_tree(question, engine, prompt, shared, config, seed=settings.seed))[0]

        source = AnswerSource(
            strategy="tree-search",
            policy=engine.info.model,
            policy_hash=engine.info.model_hash,
            engine=engine.info.kind,
            prompt=prompt.label,
            prompt_hash=prompt.hash,
            scorer=scorer.info.model,
            scorer_hash=scorer.info.model_hash,
            config=json.loads(config.model_dump_json()),
            seed=settings.seed,
        )
        return await answer_all(
            questions,
            answer_one,
            source,
            job.folder,
            concurrency=settings.concurrency,
            sink=job.sink,
            cancel=job.cancel,
        )


def compare(settings: EqualTokensStage, job: StageJob) -> dict[str, Any]:
    """Score the samples, then answer from as many as cost the same."""
    answers, samples = read_answers(job.path("answers")), read_samples(job.path("samples"))
    scorer = load_scorer(job.path("prm"), settings.scorer)
    try:
        scores = score_samples(samples, scorer, job.folder / _SCORES, sink=job.sink, cancel=job.cancel)
    finally:
        scorer.close()
    chosen = RewardFigures.model_validate_json((job.path("chosen") / FIGURES).read_bytes()).of(settings.policy).choice
    figures = tree_figures(answers, samples, scores, chosen.strategy, chosen.aggregator)
    with atomic_text(job.folder / FIGURES) as file:
        file.write(figures.model_dump_json() + "\n")
    return {rival.role: f"{rival.name} @{rival.n}" for rival in figures.rivals}


def tree_figures(
    answers: AnswerSet, samples: SampleSet, scores: ScoreSet, strategy: str, aggregator: str
) -> TreeFigures:
    """Tree search against the chosen strategy, best-of-n and self-consistency, each for the search's mean cost.

    A question that the search failed on counts as not right. Raises `AppError` where the questions differ.
    """
    right = {row.question.id: float(row.correct is True) for row in answers.rows}
    right |= {failure.id: 0.0 for failure in answers.failures}
    ids = [row.question.id for row in samples.rows]
    if set(ids) != right.keys():
        raise AppError("tree search and samples are not of the same questions")
    budget = answers.mean_tokens
    ways = {CHOSEN: (strategy, aggregator), BEST_OF_N: (BEST_OF_N, aggregator), CONSENSUS: (CONSENSUS, None)}
    return TreeFigures(
        question_ids=tuple(ids),
        right=tuple(right[each] for each in ids),
        tokens=budget,
        generated_tokens=sum(row.found.cost.generated_tokens for row in answers.rows) / max(len(answers.rows), 1),
        nodes=sum(row.found.stopped_after for row in answers.rows) / max(len(answers.rows), 1),
        rivals=tuple(
            _rival(role, way, at_equal_tokens(samples, budget, way, prm=scores if how else None, aggregator=how))
            for role, (way, how) in ways.items()
        ),
    )


def _rival(role: str, strategy: str, found: EqualTokens) -> Rival:
    how = f" {found.point.aggregator}" if found.point.aggregator else ""
    return Rival(
        role=role,
        name=f"{strategy}{how}",
        n=found.n,
        affordable=found.affordable,
        tokens=found.point.tokens,
        right=tuple(round(value, 6) for value in found.point.correct),
    )
