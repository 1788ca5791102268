"""Answers found live (tree search, beam search, early-stopped sampling), stored question by question.

The folder: `answers.json` and `answers.jsonl`; see `data.run_folder`.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from meds3core.data.run_folder import (
    FolderForm,
    QuestionFailure,
    ResultFileError,
    RunFolder,
    read_failures,
    read_finished,
)
from meds3core.decoding.answer import Answer
from meds3core.decoding.filling import fill
from meds3core.engines.base import Engine
from meds3core.errors import ConfigError
from meds3core.prm.base import ScorerInfo
from meds3core.progress import CancelToken, ProgressSink
from meds3core.text.prompts import PromptTemplate
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.verify.judge import verifier_for

ANSWERS = FolderForm(
    manifest="answers.json", lines="answers.jsonl", noun="answers", key_of=lambda row: str(row["question"]["id"])
)


class AnswerSource(Record):
    """What the answers were found with; two sets are comparable only where these say so."""

    format: str = "meds3-answers/1"
    strategy: str = Field(description="E.g. tree-search, beam-search, or the name of a strategy over samples")
    policy: str
    policy_hash: str
    engine: str
    prompt: str
    prompt_hash: str
    scorer: str = ""
    scorer_hash: str = ""
    config: dict[str, Any] = Field(description="The strategy's settings, as plain JSON")
    seed: int


class AnswerRow(Record):
    """One question's answer. `correct` is None where there is no answer, or no gold to check against."""

    question: Question | OpenQuestion
    found: Answer
    correct: bool | None


@dataclass(frozen=True)
class AnswerSet:
    """A finished set in memory, in question order."""

    source: AnswerSource
    rows: tuple[AnswerRow, ...]
    failures: tuple[QuestionFailure, ...]
    content_hash: str

    @property
    def mean_tokens(self) -> float:
        """Generated plus scored tokens per question."""
        return sum(row.found.cost.tokens for row in self.rows) / max(len(self.rows), 1)


async def answer_all(
    questions: Sequence[Question | OpenQuestion],
    answer_one: Callable[[Question | OpenQuestion], Awaitable[Answer]],
    source: AnswerSource,
    folder: Path,
    *,
    concurrency: int = 16,
    retry_failed: bool = False,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> AnswerSet:
    """Answer what is missing in `folder`, `concurrency` questions at once, and return the whole set.

    `answer_one` gets the question without its gold. Raises `ConfigError` when the folder belongs to another set.
    """

    def same(position: int, row: Any) -> bool:
        if row["question"] != json.loads(questions[position].model_dump_json()):
            raise ConfigError(f"question {questions[position].id!r} has changed: give another --out folder")
        return True

    async def work(question: Question | OpenQuestion) -> AnswerRow:
        gold = isinstance(question, Question)
        found = await answer_one(question.without_gold() if isinstance(question, Question) else question)
        correct = None
        if gold and isinstance(question, Question) and found.answer is not None:
            correct = verifier_for(question).is_right(found.answer, question)
        return AnswerRow(question=question, found=found, correct=correct)

    store = RunFolder(
        folder, ANSWERS, {"source": source.model_dump(mode="json")}, [question.id for question in questions], same
    )
    await fill(
        store,
        questions,
        work,
        line_of=lambda row: row.model_dump_json(),
        figures_of=lambda row: {
            "generated_tokens": row.found.cost.generated_tokens,
            "scored_tokens": row.found.cost.scored_tokens,
            "answered": int(row.found.answer is not None),
            "right": int(row.correct is True),
        },
        summary={},
        concurrency=concurrency,
        retry_failed=retry_failed,
        sink=sink,
        cancel=cancel,
    )
    return read_answers(folder)


def answer_source(
    strategy: str,
    engine: Engine,
    prompt: PromptTemplate,
    config: Record,
    seed: int,
    *,
    scorer: ScorerInfo | None = None,
    aggregator: str | None = None,
) -> AnswerSource:
    """What a set is found with; `config` is the strategy's settings."""
    info = engine.info
    return AnswerSource(
        strategy=strategy,
        policy=info.model,
        policy_hash=info.model_hash,
        engine=info.kind,
        prompt=prompt.label,
        prompt_hash=prompt.hash,
        scorer=scorer.model if scorer else "",
        scorer_hash=scorer.model_hash if scorer else "",
        config=config.model_dump(mode="json") | ({"aggregator": aggregator} if aggregator else {}),
        seed=seed,
    )


def read_answers(folder: Path) -> AnswerSet:
    """A finished set. Raises `ResultFileError` when there is none, it is unfinished, or it has changed."""
    manifest, lines = read_finished(folder, ANSWERS)
    try:
        source = AnswerSource.model_validate(manifest["source"])
        rows = tuple(AnswerRow.model_validate_json(line) for line in lines)
    except (KeyError, ValidationError):
        raise ResultFileError(f"{folder}: written in another format; answer again") from None
    return AnswerSet(source, rows, read_failures(folder), manifest["finished"]["content_hash"])
