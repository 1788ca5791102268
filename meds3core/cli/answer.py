"""`meds3 sample answer`: answers found live, by tree search, beam search or samples drawn until the vote is certain."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.cli.asking import (
    EngineChanges,
    EngineKind,
    EngineOption,
    PolicyOption,
    engine_settings,
    named_policy,
    read_questions,
)
from meds3core.cli.prm import HeadOption
from meds3core.cli.results_progress import ResultsDisplay
from meds3core.cli.running import cancelled_by_signals, talking_console, to_be_continued
from meds3core.cli.search import Preset
from meds3core.cli.settings import with_changes
from meds3core.config.decoding import BeamConfig, SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.decoding.answer import Answer
from meds3core.decoding.answers import ANSWERS, AnswerSet, answer_all, answer_source
from meds3core.decoding.beam import answer_by_beam
from meds3core.decoding.metering import SharedScorer
from meds3core.decoding.online import answer as answer_from_samples
from meds3core.decoding.strategies import STRATEGIES
from meds3core.decoding.tree import answer_by_tree, inference_config
from meds3core.engines.base import Engine
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.prm.aggregate import AGGREGATORS
from meds3core.prm.base import TrajectoryScorer
from meds3core.prm.loading import load_scorer
from meds3core.search.opening import named_prompt
from meds3core.text.prompts import PromptTemplate
from meds3core.types.question import OpenQuestion, Question


class Way(StrEnum):
    """How an answer is found."""

    tree_search = "tree-search"
    beam_search = "beam-search"
    self_consistency = "self-consistency"
    best_of_n = "best-of-n"
    vote_sum = "vote-sum"
    vote_mean = "vote-mean"
    orm_best_of_n = "orm-best-of-n"


@dataclass(frozen=True, slots=True)
class _Means:
    """What every answer of a run is found with."""

    way: Way
    aggregator: str
    config: SearchConfig | BeamConfig | SampleConfig
    prompt: PromptTemplate
    seed: int

    def finder(self, engine: Engine, scorer: SharedScorer | None) -> Callable[[OpenQuestion], Awaitable[Answer]]:
        """The function that answers one question."""

        async def find(question: OpenQuestion) -> Answer:
            if isinstance(self.config, SampleConfig):
                return await answer_from_samples(
                    question,
                    engine,
                    self.prompt,
                    self.way.value,
                    self.config,
                    seed=self.seed,
                    scorer=scorer,
                    aggregator=self.aggregator,
                )
            assert scorer is not None
            if isinstance(self.config, BeamConfig):
                return await answer_by_beam(
                    question, engine, self.prompt, scorer, self.config, seed=self.seed, aggregator=self.aggregator
                )
            found, _ = await answer_by_tree(question, engine, self.prompt, scorer, self.config, seed=self.seed)
            return found

        return find


def answer(
    way: Annotated[Way, typer.Argument(help="How answers are found.")],
    questions: Annotated[Path, typer.Option(help="Question file: JSON, JSONL, CSV or Parquet.")],
    policy: PolicyOption,
    out: Annotated[Path, typer.Option(help="Folder of the answers; an interrupted run in it is continued.")],
    prm: Annotated[Path | None, typer.Option(help="Folder of the reward model, where the way needs one.")] = None,
    aggregator: Annotated[
        str, typer.Option(help=f"From step scores to one ({', '.join(AGGREGATORS)}); not for tree search.")
    ] = "last",
    preset: Annotated[Preset, typer.Option(help="Of tree search.")] = Preset.paper,
    engine: EngineOption = EngineKind.transformers,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers derive from it.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions that are worked on at once.")] = 32,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a field of SearchConfig, BeamConfig or SampleConfig."),
    ] = None,
    engine_change: EngineChanges = None,
    prm_change: Annotated[
        list[str] | None, typer.Option("--prm-set", metavar="NAME=VALUE", help="Change a field of ScorerConfig.")
    ] = None,
    prm_base: Annotated[Path | None, typer.Option(help="Folder of its base, where it is an adapter.")] = None,
    prm_head: HeadOption = None,
    retry_failed: Annotated[bool, typer.Option(help="Answer the questions that failed before once more.")] = False,
) -> None:
    """Answer questions live, at the cost that is counted, and check the answers."""
    console = talking_console()
    config = _settings(way, preset, change or [])
    if way.value not in STRATEGIES or STRATEGIES[way.value].needs != "nothing":
        if prm is None:
            raise ConfigError(f"{way.value} needs a reward model: name its folder with --prm")
    elif prm is not None:
        raise ConfigError(f"{way.value} reads no scores: leave --prm out")
    engine_config = engine_settings(engine, engine_change)
    folder = named_policy(policy)
    asked = read_questions(console, questions, limit, skip_bad_rows=False)
    if aggregator not in AGGREGATORS:
        raise ConfigError(f"unknown aggregator {aggregator!r}; there are {', '.join(AGGREGATORS)}")
    prompt = named_prompt(config.prompt, folder)
    means = _Means(way, aggregator, config, prompt, seed)
    console.print(f"{len(asked)} questions, {way.value}, policy {folder.name}, engine {engine.value}")
    display = ResultsDisplay(console)

    def load_reward_model() -> TrajectoryScorer | None:
        if prm is None:
            return None
        settings = with_changes(ScorerConfig(), prm_change or [])
        return load_scorer(prm, settings, base=prm_base, score_head=prm_head.value if prm_head else None)

    with to_be_continued(console, out):
        work = _answer(asked, folder, engine_config, means, load_reward_model, out, concurrency, retry_failed, display)
        found = asyncio.run(work)
    _say(console, found, out)


def _settings(way: Way, preset: Preset, changes: list[str]) -> SearchConfig | BeamConfig | SampleConfig:
    if way is Way.tree_search:
        return with_changes(inference_config(PRESETS[preset.value]), changes)
    if way is Way.beam_search:
        return with_changes(BeamConfig(), changes)
    return with_changes(SampleConfig(), changes)


async def _answer(
    questions: Sequence[Question],
    folder: PolicyFolder,
    engine_config: EngineConfig,
    means: _Means,
    load_reward_model: Callable[[], TrajectoryScorer | None],
    out: Path,
    concurrency: int,
    retry_failed: bool,
    display: ResultsDisplay,
) -> AnswerSet:
    async with AsyncExitStack() as stack:
        engine = load_engine(folder.path, engine_config)
        stack.push_async_callback(engine.close)
        model, scorer = load_reward_model(), None
        if model is not None:
            stack.callback(model.close)
            scorer = await stack.enter_async_context(SharedScorer(model))
        source = answer_source(
            means.way.value,
            engine,
            means.prompt,
            means.config,
            means.seed,
            scorer=model.info if model is not None else None,
            aggregator=None if means.way is Way.tree_search or model is None else means.aggregator,
        )
        with display:
            return await cancelled_by_signals(
                answer_all(
                    questions,
                    means.finder(engine, scorer),
                    source,
                    out,
                    concurrency=concurrency,
                    retry_failed=retry_failed,
                    sink=display,
                )
            )


def _say(console: Console, found: AnswerSet, out: Path) -> None:
    count = max(len(found.rows), 1)
    right = sum(row.correct is True for row in found.rows) / count
    silent = sum(row.found.answer is None for row in found.rows) / count
    console.print(
        f"{len(found.rows)} answers in {out / ANSWERS.lines}: {100 * right:.1f}% right, {100 * silent:.1f}% without an "
        f"answer, {found.mean_tokens:.0f} tokens per question (generated and scored)"
    )
    if found.failures:
        console.print(f"{len(found.failures)} questions failed, with reasons in {out}; --retry-failed tries them again")
    if not found.rows:
        raise typer.Exit(1)
