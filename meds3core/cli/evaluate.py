"""`meds3 evaluate` and `meds3 compare`: figures with intervals, a page, and two results side by side."""

import asyncio
from contextlib import ExitStack
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
    SkipBadRows,
    engine_settings,
    named_policy,
    read_questions,
)
from meds3core.cli.results_progress import ResultsDisplay
from meds3core.cli.running import cancelled_by_signals, stopped_by_signals, talking_console, to_be_continued
from meds3core.cli.settings import with_changes
from meds3core.config.decoding import SampleConfig, ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.config.evaluation import CollectConfig, EvaluationConfig, ProbeConfig
from meds3core.data.write import atomic_text
from meds3core.decoding.scores import ScoreSet
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.evaluation.collect import Collected, collect, score_collected
from meds3core.evaluation.compare import compare as compare_evaluations
from meds3core.evaluation.judging import ClinicJudge, StepJudge
from meds3core.evaluation.record import FIGURES, read_evaluation
from meds3core.evaluation.run import Validation
from meds3core.evaluation.run import evaluate as evaluate_collected
from meds3core.prm.loading import load_scorer
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.report.evaluation_page import write_comparison_page, write_evaluation_page
from meds3core.report.evaluation_terminal import comparison_view, evaluation_view
from meds3core.sandbox.questions import SOURCE as CLINIC
from meds3core.types.question import Question

REPORT = "report.html"


class JudgeName(StrEnum):
    """Judges of steps that `--judge` knows."""

    auto = "auto"
    clinic = "clinic"
    none = "none"


def evaluate(
    questions: Annotated[Path, typer.Option(help="Test questions: JSON, JSONL, CSV or Parquet.")],
    policy: PolicyOption,
    out: Annotated[Path, typer.Option(help="Folder of the evaluation; an interrupted one is continued.")],
    prm: Annotated[Path | None, typer.Option(help="Folder of a process reward model.")] = None,
    orm: Annotated[Path | None, typer.Option(help="Folder of an outcome reward model.")] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Other questions, on which strategy and thresholds are chosen.")
    ] = None,
    n: Annotated[int, typer.Option(min=0, help="Samples per question; 0: greedy answers only.")] = 16,
    sampled_questions: Annotated[
        int | None, typer.Option(min=1, help="Draw samples for the first N questions only.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also ask changed questions, cut and corrupted reasoning.")
    ] = False,
    judge: Annotated[
        JudgeName, typer.Option(help="Who says which steps are right; auto: the clinic's checker for its questions.")
    ] = JudgeName.auto,
    engine: EngineOption = EngineKind.transformers,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N test questions.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers derive from it.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Answers that are written at once.")] = 256,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of EvaluationConfig.")
    ] = None,
    engine_change: EngineChanges = None,
    scorer_change: Annotated[
        list[str] | None, typer.Option("--scorer-set", metavar="NAME=VALUE", help="Change a field of ScorerConfig.")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    retry_failed: Annotated[bool, typer.Option(help="Ask the questions that failed before once more.")] = False,
) -> None:
    """Evaluate a policy: accuracy, strategies, reward models and robustness, every figure with its interval."""
    console = talking_console()
    if not n and (prm or orm or validation):
        raise ConfigError("--n 0 draws no samples, and reward models and a validation set need them: raise --n")
    config = with_changes(EvaluationConfig(), change or [])
    plan = _plan(n, sampled_questions, max_tokens, robustness, seed)
    engine_config = engine_settings(engine, engine_change)
    scorer_config = with_changes(ScorerConfig(), scorer_change or [])
    folder = named_policy(policy)
    asked = read_questions(console, questions, limit, skip_bad_rows)
    known = read_questions(console, validation, None, skip_bad_rows) if validation is not None else ()
    _refuse_overlap(asked[:sampled_questions], known)
    judged = _judge(judge, asked)
    said = f"{len(asked)} questions, policy {folder.name}, engine {engine.value}"
    console.print(said + (f", {n} samples of {len(asked[:sampled_questions])}" if n else ", greedy only"))
    with to_be_continued(console, out):
        collected = asyncio.run(
            _collect(console, asked, known, folder, engine_config, plan, config, judged, concurrency, retry_failed, out)
        )
        scores, chosen_on = _score(console, collected, {"prm": prm, "orm": orm}, scorer_config, out)
    stored = evaluate_collected(
        collected.greedy, collected.samples, scores, judged, chosen_on, config, probes=collected.probes
    )
    stored.write(out)
    write_evaluation_page(stored, out / REPORT)
    Console(highlight=False, markup=False).print(evaluation_view(stored.evaluation))
    console.print(f"{out / FIGURES}\n{out / REPORT}")


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    second: Annotated[Path, typer.Argument(help="Folder of another; differences are second minus first.")],
    out: Annotated[
        Path | None, typer.Option(help="Page to write, with every question and both sides' answers.")
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="File to write the figures to.")] = None,
    shared: Annotated[bool, typer.Option("--shared", help="Compare on the questions that both have.")] = False,
) -> None:
    """Compare two evaluations question by question; refused, with the reason, where they are not comparable."""
    one, other = read_evaluation(first), read_evaluation(second)
    found = compare_evaluations(one, other, shared=shared)
    Console(highlight=False, markup=False).print(comparison_view(found))
    if json_out is not None:
        with atomic_text(json_out) as file:
            file.write(found.model_dump_json(indent=1) + "\n")
        typer.echo(str(json_out))
    if out is not None:
        write_comparison_page(found, one, other, out)
        typer.echo(str(out))


class _PartDisplay:
    """One live line for each part of the work, the next below the last."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._current: ResultsDisplay | None = None

    def emit(self, event: ProgressEvent) -> None:
        """Take an event; `part` begins another line."""
        if event.kind == "part":
            self.close()
            self._console.print(f"{event.data['name']}:")
            self._current = ResultsDisplay(self._console)
            self._current.__enter__()
        elif self._current is not None:
            self._current.emit(event)

    def close(self) -> None:
        """End the current line."""
        if self._current is not None:
            self._current.__exit__(None, None, None)
            self._current = None


def _plan(n: int, sampled_questions: int | None, max_tokens: int | None, robustness: bool, seed: int) -> CollectConfig:
    plan = CollectConfig(
        samples=SampleConfig(n=n) if n else None,
        sampled_questions=sampled_questions,
        probes=ProbeConfig() if robustness else None,
        seed=seed,
    )
    if max_tokens is None:
        return plan
    limit = {"max_tokens": max_tokens}
    return plan.model_copy(
        update={
            "greedy": plan.greedy.model_copy(update=limit),
            "samples": plan.samples.model_copy(update=limit) if plan.samples else None,
        }
    )


def _refuse_overlap(test: tuple[Question, ...], validation: tuple[Question, ...]) -> None:
    """Before hours of drawing, not after."""
    asked = {question.content_hash for question in test}
    both = sum(question.content_hash in asked for question in validation)
    if both:
        raise ConfigError(
            f"{both} of {len(validation)} validation questions are test questions too: take them out of one file"
        )


def _judge(name: JudgeName, questions: tuple[Question, ...]) -> StepJudge | None:
    if name is JudgeName.clinic or (
        name is JudgeName.auto and any(question.source == CLINIC for question in questions)
    ):
        return ClinicJudge()
    return None


async def _collect(
    console: Console,
    questions: tuple[Question, ...],
    validation: tuple[Question, ...],
    folder: PolicyFolder,
    engine_config: EngineConfig,
    plan: CollectConfig,
    config: EvaluationConfig,
    judge: StepJudge | None,
    concurrency: int,
    retry_failed: bool,
    out: Path,
) -> Collected:
    engine = load_engine(folder.path, engine_config)
    display = _PartDisplay(console)
    try:
        return await cancelled_by_signals(
            collect(
                questions,
                engine,
                out,
                plan,
                policy_prompt=folder.prompt,
                validation=validation,
                judge=judge,
                level=config,
                concurrency=concurrency,
                retry_failed=retry_failed,
                sink=display,
            )
        )
    finally:
        display.close()
        await engine.close()


def _score(
    console: Console, collected: Collected, models: dict[str, Path | None], config: ScorerConfig, out: Path
) -> tuple[dict[str, ScoreSet], Validation | None]:
    display, cancel = _PartDisplay(console), CancelToken()
    with ExitStack() as stack:
        stack.enter_context(stopped_by_signals(cancel))
        stack.callback(display.close)
        scorers = {}
        for name, path in models.items():
            if path is not None:
                scorers[name] = load_scorer(path, config)
                stack.callback(scorers[name].close)
                if scorers[name].info.kind != name:
                    raise ConfigError(f"{path}: --{name} wants a {name.upper()}, this is a {scorers[name].info.kind}")
        return score_collected(collected, scorers, out, sink=display, cancel=cancel)
