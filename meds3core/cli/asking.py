"""What commands that ask a policy questions open with: the policy, its engine and prompt, the questions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from meds3core.cli.settings import with_changes
from meds3core.config.engine import EngineConfig, OpenAIEngineConfig, TransformersEngineConfig, VllmEngineConfig
from meds3core.data.read import load_questions
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.sandbox.bundled import policy_folder
from meds3core.types.question import Question

BUNDLED = "clinic"


class EngineKind(StrEnum):
    """Engines that `--engine` knows."""

    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"


POLICY_HELP = f"Folder of the policy, or '{BUNDLED}' for the bundled one."

PolicyOption = Annotated[str, typer.Option(help=POLICY_HELP)]
EngineOption = Annotated[EngineKind, typer.Option(help="What runs the policy.")]
EngineChanges = Annotated[
    list[str] | None, typer.Option("--engine-set", metavar="NAME=VALUE", help="Change a field of the engine.")
]
SkipBadRows = Annotated[bool, typer.Option(help="Leave out rows that do not load, and say how many.")]


def named_policy(name: str) -> PolicyFolder:
    """What `--policy` means. Raises `PolicyError`."""
    return inspect_policy(policy_folder() if name == BUNDLED else Path(name))


def engine_settings(kind: EngineKind, changes: list[str] | None) -> EngineConfig:
    """The configuration of an engine with `NAME=VALUE` changes."""
    changes = changes or []
    if kind is EngineKind.openai:
        # It has fields without defaults, so the changes are its whole description.
        pairs = (change.partition("=") for change in changes)
        return TypeAdapter(OpenAIEngineConfig).validate_python(
            {"kind": "openai", **{name.strip(): value.strip() for name, _, value in pairs}}
        )
    if kind is EngineKind.vllm:
        return with_changes(VllmEngineConfig(), changes)
    return with_changes(TransformersEngineConfig(), changes)


def read_questions(console: Console, path: Path, limit: int | None, skip_bad_rows: bool) -> tuple[Question, ...]:
    """The questions of a file; says which rows were left out. Raises `QuestionFileError`."""
    loaded = load_questions(path, limit=limit, skip_bad_rows=skip_bad_rows)
    if loaded.bad_rows:
        rows = "1 bad row" if loaded.bad_rows == 1 else f"{loaded.bad_rows} bad rows"
        console.print(f"{path}: {rows} left out:", *loaded.errors, sep="\n  ")
    return loaded.questions
