"""A reward model's scores of a sample set, computed once and stored beside it.

The folder: `scores.json` (which model, of which samples, and when finished the content hash) and `scores.jsonl` (a
`QuestionScores` a line, in the samples' order); see `data.run_folder`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meds3core.data.run_folder import FolderForm, ResultFileError, RunFolder, read_finished
from meds3core.decoding.samples import SampleSet
from meds3core.errors import Cancelled, ConfigError, ContextOverflow, EngineError
from meds3core.prm.base import ScoreItem, Scores, TrajectoryScorer
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.samples import QuestionSamples, QuestionScores, ScoreSource

SCORES = FolderForm(
    manifest="scores.json", lines="scores.jsonl", noun="scores", key_of=lambda row: str(row["question_id"])
)


@dataclass(frozen=True)
class ScoreSet:
    """A finished score set in memory."""

    source: ScoreSource
    rows: tuple[QuestionScores, ...]
    """In the order of the samples' rows. An empty tuple of scores: the trajectory did not fit the reward model."""
    content_hash: str


def score_samples(
    samples: SampleSet,
    scorer: TrajectoryScorer,
    folder: Path,
    *,
    questions_at_once: int = 8,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> ScoreSet:
    """Score what is missing in `folder` and return the whole set. Blocking.

    Questions go to the scorer in fixed blocks of `questions_at_once`, so that a continued run batches, rounds and
    counts as an undisturbed one. A trajectory that does not fit the model gets no scores and can never be chosen
    by them. Raises `Cancelled` between blocks, `ConfigError` when the folder holds other scores, and what the scorer
    raises; all leave a folder that the same call continues.
    """
    sink = sink or NullSink()
    info = scorer.info
    source = ScoreSource(
        kind=info.kind, model=info.model, model_hash=info.model_hash, samples_hash=samples.content_hash
    )
    rows, total = samples.rows, len(samples.rows)

    def whole(position: int, row: Any) -> bool:
        return len(row["scores"]) == len(rows[position].samples)

    store = RunFolder(
        folder, SCORES, {"source": source.model_dump(mode="json")}, [row.question.id for row in rows], whole
    )
    try:
        store.open()
        missing = set(store.missing())
        sink.emit(ProgressEvent(kind="scores-started", done=total - len(missing), total=total))
        for start in range(0, total, questions_at_once):
            block = range(start, min(start + questions_at_once, total))
            wanted = [position for position in block if position in missing]
            if not wanted:
                continue
            if cancel is not None and cancel.cancelled:
                raise Cancelled("scoring was cancelled; the same call continues it")
            scored = dict(zip(block, _score_block([rows[position] for position in block], scorer), strict=True))
            for position in wanted:
                store.keep(position, scored[position].model_dump_json())
            tokens = sum(scored[position].scored_tokens for position in wanted)
            sink.emit(ProgressEvent(kind="scores", done=store.done, total=total, data={"scored_tokens": tokens}))
        store.finish({"questions": total})
    finally:
        store.close()
    return read_scores(folder, samples)


def read_scores(folder: Path, samples: SampleSet | None = None) -> ScoreSet:
    """A finished set; checked against the samples when they are given.

    Raises `ResultFileError` when there is none, it is unfinished or changed, `ConfigError` when it is of other samples.
    """
    manifest, lines = read_finished(folder, SCORES)
    try:
        source = ScoreSource.model_validate(manifest["source"])
        rows = tuple(QuestionScores.model_validate_json(line) for line in lines)
    except (KeyError, ValidationError):
        raise ResultFileError(f"{folder}: written in another format; score the samples again") from None
    scores = ScoreSet(source, rows, manifest["finished"]["content_hash"])
    if samples is not None:
        require_match(samples, scores)
    return scores


def require_match(samples: SampleSet, scores: ScoreSet) -> None:
    """Raise `ConfigError` unless the scores are of these very samples."""
    if scores.source.samples_hash != samples.content_hash:
        raise ConfigError(
            f"the scores by {scores.source.model} are of other samples (content hash "
            f"{scores.source.samples_hash}, here {samples.content_hash}): score these samples"
        )


def _score_block(block: Sequence[QuestionSamples], scorer: TrajectoryScorer) -> list[QuestionScores]:
    items = [ScoreItem(_open(row.question), sample.bodies) for row in block for sample in row.samples]
    results = iter(_score(items, scorer))
    scored = []
    for row in block:
        mine = [next(results) for _ in row.samples]
        scored.append(
            QuestionScores(
                question_id=row.question.id,
                scores=tuple(result.values for result in mine),
                scored_tokens=sum(result.tokens for result in mine),
            )
        )
    return scored


def _score(items: Sequence[ScoreItem], scorer: TrajectoryScorer) -> list[Scores]:
    """One result per item; halves what does not fit until the trajectories that are too long stand alone."""
    if not items:
        return []
    try:
        results = scorer.score(items)
    except ContextOverflow:
        if len(items) == 1:
            return [Scores((), 0)]
        middle = len(items) // 2
        return [*_score(items[:middle], scorer), *_score(items[middle:], scorer)]
    for item, result in zip(items, results, strict=True):
        check_scores(item, result, scorer.info.kind)
    return results


def check_scores(item: ScoreItem, result: Scores, kind: str) -> None:
    """Raise `EngineError` when a reward model gave too few scores or something that is no score."""
    expected = 1 if kind == "orm" else len(item.bodies)
    if len(result.values) != expected:
        raise EngineError(f"the reward model gave {len(result.values)} scores where {expected} were due")
    if not all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in result.values):
        raise EngineError("the reward model gave a score outside [0, 1]; its weights may be damaged")


def _open(question: Question | OpenQuestion) -> OpenQuestion:
    """What a reward model may see: no gold."""
    return question.without_gold() if isinstance(question, Question) else question
