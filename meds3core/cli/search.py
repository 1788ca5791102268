"""`meds3 search`: grow the trees of a file of questions; Ctrl-C stops, the same command continues."""

import asyncio
from collections.abc import Sequence
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
from meds3core.cli.prm import Head, HeadOption
from meds3core.cli.running import cancelled_by_signals, talking_console, to_be_continued
from meds3core.cli.search_progress import SearchDisplay
from meds3core.cli.settings import with_changes
from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.prm.card import inspect_reward_model
from meds3core.search.grow import grow
from meds3core.search.opening import Guide, open_search
from meds3core.search.run import FAILURES, TREES, SearchResult, run_search
from meds3core.types.question import OpenQuestion, Question


class Preset(StrEnum):
    """Presets of SearchConfig."""

    paper = "paper"
    quick = "quick"
    thorough = "thorough"


def search(
    questions: Annotated[Path, typer.Option(help="Question file: JSON, JSONL, CSV or Parquet, format detected.")],
    policy: PolicyOption,
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run in it is continued.")],
    engine: EngineOption = EngineKind.transformers,
    preset: Annotated[Preset, typer.Option(help="paper: the published values.")] = Preset.paper,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: Annotated[int, typer.Option(help="All random numbers derive from it.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Trees that grow at once.")] = 64,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of SearchConfig.")
    ] = None,
    engine_change: EngineChanges = None,
    prm: Annotated[
        Path | None, typer.Option(help="Folder of the process reward model that scores steps (simulation=scorer).")
    ] = None,
    prm_base: Annotated[Path | None, typer.Option(help="Folder of its base, where it is an adapter.")] = None,
    prm_head: HeadOption = None,
    prm_change: Annotated[
        list[str] | None, typer.Option("--prm-set", metavar="NAME=VALUE", help="Change a field of ScorerConfig.")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    retry_failed: Annotated[bool, typer.Option(help="Grow the questions that failed before once more.")] = False,
) -> None:
    """Grow reasoning trees over questions whose answers can be checked."""
    console = talking_console()
    config = with_changes(PRESETS[preset.value], change or [])
    engine_config = engine_settings(engine, engine_change)
    folder = named_policy(policy)
    known = read_questions(console, questions, limit, skip_bad_rows)
    guide = _guide(prm, prm_base, prm_head, prm_change or [], config)
    asked = known if config.mode == "training" else [one.without_gold() for one in known]

    console.print(f"{len(known)} questions, policy {folder.name}, engine {engine.value}")
    display = SearchDisplay(console)
    with to_be_continued(console, out):
        result = asyncio.run(
            _search(asked, folder, engine_config, config, guide, seed, concurrency, out, retry_failed, display)
        )
    _say(console, result, out)


def _guide(
    prm: Path | None, base: Path | None, head: Head | None, changes: list[str], config: SearchConfig
) -> Guide | None:
    if config.simulation != "scorer":
        if prm is not None:
            raise ConfigError("--prm is given, but the search simulates by rollouts: add --set simulation=scorer")
        return None
    if prm is None:
        raise ConfigError("simulation 'scorer' needs a process reward model: name its folder with --prm")
    folder = inspect_reward_model(prm, score_head=head.value if head else None, base=base)
    if folder.kind != "prm":
        raise ConfigError(f"{prm} is an outcome reward model; tree search scores steps and needs a process one")
    return Guide(folder, with_changes(ScorerConfig(), changes))


async def _search(
    questions: Sequence[Question | OpenQuestion],
    folder: PolicyFolder,
    engine_config: EngineConfig,
    config: SearchConfig,
    guide: Guide | None,
    seed: int,
    concurrency: int,
    out: Path,
    retry_failed: bool,
    display: SearchDisplay,
) -> SearchResult:
    async with open_search(folder, engine_config, config, seed=seed, guide=guide) as opened:
        with display:
            return await cancelled_by_signals(
                run_search(
                    questions,
                    lambda question: grow(question, opened.tools),
                    opened.manifest,
                    out,
                    concurrency=concurrency,
                    retry_failed=retry_failed,
                    sink=display,
                )
            )


def _say(console: Console, result: SearchResult, out: Path) -> None:
    again = f", {result.reused} of them from an earlier call" if result.reused else ""
    console.print(f"{result.trees} trees{again} in {out / TREES}")
    if result.failures:
        console.print(
            f"{result.failures} questions failed, with reasons in {out / FAILURES}; --retry-failed tries them again",
        )
    console.print(f"meds3 trees report {out}   makes a page to browse them")
    if not result.trees:
        raise typer.Exit(1)
