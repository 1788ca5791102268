"""`meds3 sample`: answers drawn from a policy, scored by a reward model; Ctrl-C stops, the same command continues."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from meds3core.cli.answer import answer
from meds3core.cli.prm import HeadOption
from meds3core.cli.results_progress import ResultsDisplay
from meds3core.cli.search import BUNDLED, EngineKind, engine_settings
from meds3core.cli.settings import with_changes
from meds3core.cli.train import stopped_by_signals
from meds3core.config.decoding import GREEDY, SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.data.read import load_questions
from meds3core.data.run_folder import FAILURES
from meds3core.decoding.samples import SAMPLES, SampleSet, draw_samples, read_samples
from meds3core.decoding.scores import SCORES, score_samples
from meds3core.engines.base import Engine
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.errors import Cancelled, ConfigError
from meds3core.prm.loading import load_scorer
from meds3core.progress import CancelToken
from meds3core.sandbox.bundled import policy_folder
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import Question

app = typer.Typer(invoke_without_command=True)
app.command()(answer)


@app.callback()
def sample(
    context: typer.Context,
    questions: Annotated[Path | None, typer.Option(help="Question file: JSON, JSONL, CSV or Parquet.")] = None,
    policy: Annotated[
        str | None, typer.Option(help=f"Folder of the policy, or '{BUNDLED}' for the bundled one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the set; a smaller or unfinished one is continued.")
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="Answers per question; 16 unless --set says otherwise.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="One answer per question at temperature 0.")] = False,
    engine: Annotated[EngineKind, typer.Option(help="What runs the policy.")] = EngineKind.transformers,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers derive from it.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Answers that are written at once.")] = 256,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of SampleConfig.")
    ] = None,
    engine_change: Annotated[
        list[str] | None, typer.Option("--engine-set", metavar="NAME=VALUE", help="Change a field of the engine.")
    ] = None,
    skip_bad_rows: Annotated[bool, typer.Option(help="Leave out rows that do not load, and say how many.")] = False,
    retry_failed: Annotated[bool, typer.Option(help="Sample the questions that failed before once more.")] = False,
) -> None:
    """Draw n answers to every question, from which every strategy is computed afterwards."""
    if context.invoked_subcommand is not None:
        return
    if questions is None or policy is None or out is None:
        raise ConfigError("sampling needs --questions, --policy and --out (all options: meds3 sample --help)")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if greedy and n is not None and n > 1:
        raise ConfigError(f"--greedy draws one answer per question, --n asks for {n}: leave one of them out")
    changes = [*(change or []), *([f"n={n}"] if n is not None else [])]
    config = with_changes(GREEDY if greedy else SampleConfig(), changes)
    engine_config = engine_settings(engine, engine_change or [])
    folder = inspect_policy(policy_folder() if policy == BUNDLED else Path(policy))
    loaded = load_questions(questions, limit=limit, skip_bad_rows=skip_bad_rows)
    if loaded.bad_rows:
        console.print(f"bad rows left out: {loaded.bad_rows}", *loaded.errors[:20], sep="\n  ")
    console.print(
        f"{len(loaded.questions)} questions, {config.n} answers each, policy {folder.name}, engine {engine.value}"
    )
    display = ResultsDisplay(console)
    try:
        drawn = asyncio.run(
            _draw(loaded.questions, folder, engine_config, config, seed, concurrency, out, retry_failed, display)
        )
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print(f"Stopped. What is finished lies in {out}; the same command continues.")
        raise typer.Exit(130) from None
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
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    config = with_changes(ScorerConfig(), change or [])
    drawn = read_samples(samples)
    scorer = load_scorer(prm, config, base=base, score_head=score_head.value if score_head else None)
    display, cancel = ResultsDisplay(console), CancelToken()
    try:
        with stopped_by_signals(cancel), display:
            scored = score_samples(drawn, scorer, out, sink=display, cancel=cancel)
    except (Cancelled, KeyboardInterrupt):
        console.print(f"Stopped. What is finished lies in {out}; the same command continues.")
        raise typer.Exit(130) from None
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
    prompt = TEMPLATES[folder.prompt if config.prompt == "auto" else config.prompt]
    try:
        work = asyncio.create_task(
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
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        with display:
            return await work
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
