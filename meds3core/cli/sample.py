"""`meds3 sample`: answers drawn from a policy, scored by a reward model; Ctrl-C stops, the same command continues."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.cli.answer import answer
from meds3core.cli.asking import (
    POLICY_HELP,
    EngineChanges,
    EngineKind,
    EngineOption,
    SkipBadRows,
    engine_settings,
    named_policy,
    read_questions,
)
from meds3core.cli.prm import HeadOption
from meds3core.cli.results_progress import ResultsDisplay
from meds3core.cli.running import cancelled_by_signals, stopped_by_signals, talking_console, to_be_continued
from meds3core.cli.settings import with_changes
from meds3core.config.decoding import GREEDY, SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.data.run_folder import FAILURES
from meds3core.decoding.samples import SAMPLES, SampleSet, draw_samples, read_samples
from meds3core.decoding.scores import SCORES, score_samples
from meds3core.engines.base import Engine
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.prm.loading import load_scorer
from meds3core.progress import CancelToken
from meds3core.search.opening import named_prompt
from meds3core.types.question import Question

app = typer.Typer(invoke_without_command=True)
app.command()(answer)


@app.callback()
def sample(
    context: typer.Context,
    questions: Annotated[Path | None, typer.Option(help="Question file: JSON, JSONL, CSV or Parquet.")] = None,
    policy: Annotated[str | None, typer.Option(help=POLICY_HELP)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the set; a smaller or unfinished one is continued.")
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="Answers per question; 16 unless --set says otherwise.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="One answer per question at temperature 0.")] = False,
    engine: EngineOption = EngineKind.transformers,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers derive from it.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Answers that are written at once.")] = 256,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of SampleConfig.")
    ] = None,
    engine_change: EngineChanges = None,
    skip_bad_rows: SkipBadRows = False,
    retry_failed: Annotated[bool, typer.Option(help="Sample the questions that failed before once more.")] = False,
) -> None:
    """Draw n answers to every question, from which every strategy is computed afterwards."""
    if context.invoked_subcommand is not None:
        return
    if questions is None or policy is None or out is None:
        raise ConfigError("sampling needs --questions, --policy and --out (all options: meds3 sample --help)")
    console = talking_console()
    if greedy and n is not None and n > 1:
        raise ConfigError(f"--greedy draws one answer per question, --n asks for {n}: leave one of them out")
    changes = [*(change or []), *([f"n={n}"] if n is not None else [])]
    config = with_changes(GREEDY if greedy else SampleConfig(), changes)
    engine_config = engine_settings(engine, engine_change)
    folder = named_policy(policy)
    asked = read_questions(console, questions, limit, skip_bad_rows)
    console.print(f"{len(asked)} questions, {config.n} answers each, policy {folder.name}, engine {engine.value}")
    display = ResultsDisplay(console)
    with to_be_continued(console, out):
        drawn = asyncio.run(_draw(asked, folder, engine_config, config, seed, concurrency, out, retry_failed, display))
    _say(console, drawn, out)


@app.command()
def score(
    samples: Annotated[Path, typer.Argument(help="Folder of a finished sample set.")],
    prm: Annotated[Path, typer.Option(help="Folder of the reward model, process or outcome.")],
    out: Annotated[Path, typer.Option(help="Folder of the scores; an interrupted run in it is continued.")],
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of ScorerConfig.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Folder of an adapter's base model.")] = None,
    score_head: HeadOption = None,
) -> None:
    """Score every step of every sample with a reward model."""
    console = talking_console()
    config = with_changes(ScorerConfig(), change or [])
    drawn = read_samples(samples)
    scorer = load_scorer(prm, config, base=base, score_head=score_head.value if score_head else None)
    display, cancel = ResultsDisplay(console), CancelToken()
    try:
        with to_be_continued(console, out), stopped_by_signals(cancel), display:
            scored = score_samples(drawn, scorer, out, sink=display, cancel=cancel)
    finally:
        scorer.close()
    console.print(f"scores of {len(scored.rows)} questions by {scored.source.model} in {out / SCORES.lines}")


async def _draw(
    questions: tuple[Question, ...],
    folder: PolicyFolder,
    engine_config: EngineConfig,
    config: SampleConfig,
    seed: int,
    concurrency: int,
    out: Path,
    retry_failed: bool,
    display: ResultsDisplay,
) -> SampleSet:
    engine: Engine = load_engine(folder.path, engine_config)
    prompt = named_prompt(config.prompt, folder)
    try:
        with display:
            return await cancelled_by_signals(
                draw_samples(
                    questions,
                    engine,
                    prompt,
                    config,
                    seed,
                    out,
                    concurrency=concurrency,
                    retry_failed=retry_failed,
                    sink=display,
                )
            )
    finally:
        await engine.close()


def _say(console: Console, drawn: SampleSet, out: Path) -> None:
    everything = [sample for row in drawn.rows for sample in row.samples]
    count = max(len(everything), 1)
    right = sum(sample.correct is True for sample in everything) / count
    silent = sum(sample.answer is None for sample in everything) / count
    console.print(
        f"{len(everything)} answers to {len(drawn.rows)} questions in {out / SAMPLES.lines}: "
        f"{100 * right:.1f}% right, {100 * silent:.1f}% without an answer"
    )
    if drawn.failures:
        console.print(
            f"{len(drawn.failures)} questions failed, with reasons in {out / FAILURES}; --retry-failed tries them again"
        )
    if not drawn.rows:
        raise typer.Exit(1)
