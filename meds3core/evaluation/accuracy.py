"""How often a policy's answers are right: over all questions, by source and domain, and at what length.

Micro: every question counts alike. Macro: every source (or domain) counts alike. No answer found is counted as not
right, and by itself. Where a question has several samples, its figure is their mean.
"""

from collections.abc import Callable, Sequence

import numpy as np
from pydantic import Field

from meds3core.errors import UserError
from meds3core.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    bootstrap_mean,
    resampled_counts,
    wilson,
)
from meds3core.types.question import Question
from meds3core.types.record import Record
from meds3core.types.samples import QuestionSamples, Sample


class NoGold(UserError):
    """Questions without a gold answer were to be evaluated."""

    code = "no-gold"


class GroupAccuracy(Record):
    """One source or domain."""

    name: str
    accuracy: Estimate
    no_answer: Estimate
    tokens: Estimate = Field(description="Generated tokens per sample")


class AccuracyFigures(Record):
    """Of one set of samples; for greedy ones a question has one sample."""

    questions: int
    samples_per_question: int
    micro: Estimate
    macro_source: Estimate
    macro_domain: Estimate
    no_answer: Estimate
    cut: Estimate = Field(description="Share of samples cut by the token limit")
    tokens: Estimate = Field(description="Generated tokens per sample")
    tokens_per_question: Estimate = Field(description="Generated tokens of all samples of a question")
    sources: tuple[GroupAccuracy, ...]
    domains: tuple[GroupAccuracy, ...]


def accuracy_figures(
    rows: Sequence[QuestionSamples], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> AccuracyFigures:
    """The figures of a sample set. Raises `NoGold`, or `UserError` when it is empty."""
    check_gold(rows)
    right = [_mean(row.samples, lambda sample: sample.correct is True) for row in rows]
    silent = [_mean(row.samples, lambda sample: sample.answer is None) for row in rows]
    cut = [_mean(row.samples, lambda sample: sample.finish == "length") for row in rows]
    tokens = [_mean(row.samples, lambda sample: sample.generated_tokens) for row in rows]
    all_tokens = [sum(sample.generated_tokens for sample in row.samples) for row in rows]
    sources = [row.question.source or "not named" for row in rows]
    domains = [row.question.domain or "not named" for row in rows]

    def share(values: Sequence[float]) -> Estimate:
        return accuracy_share(values, level=level, resamples=resamples, seed=seed)

    def mean(values: Sequence[float]) -> Estimate:
        return bootstrap_mean(values, level=level, resamples=resamples, seed=seed)

    def groups(names: Sequence[str]) -> tuple[GroupAccuracy, ...]:
        found = []
        for name in sorted(set(names)):
            members = [position for position, other in enumerate(names) if other == name]
            found.append(
                GroupAccuracy(
                    name=name,
                    accuracy=share([right[i] for i in members]),
                    no_answer=share([silent[i] for i in members]),
                    tokens=mean([tokens[i] for i in members]),
                )
            )
        return tuple(found)

    return AccuracyFigures(
        questions=len(rows),
        samples_per_question=max(len(row.samples) for row in rows),
        micro=share(right),
        macro_source=macro_mean(right, sources, level=level, resamples=resamples, seed=seed),
        macro_domain=macro_mean(right, domains, level=level, resamples=resamples, seed=seed),
        no_answer=share(silent),
        cut=share(cut),
        tokens=mean(tokens),
        tokens_per_question=mean(all_tokens),
        sources=groups(sources),
        domains=groups(domains),
    )


def macro_mean(
    values: Sequence[float],
    groups: Sequence[str],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The mean of the groups' means; questions are resampled within their group, groups are as they are.

    A single group is not a macro average of anything: its figure is the plain one.
    """
    names = sorted(set(groups))
    if len(names) == 1:
        return accuracy_share(values, level=level, resamples=resamples, seed=seed)
    means, drawn = [], []
    for number, name in enumerate(names):
        members = np.array([value for value, other in zip(values, groups, strict=True) if other == name], dtype=float)
        means.append(members.mean())
        blocks = resampled_counts(len(members), resamples, seed + number)
        drawn.append(np.concatenate([counts @ members / len(members) for counts in blocks]))
    value = float(np.mean(means))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.mean(drawn, axis=0), [tail, 100 - tail])
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=len(values),
        method="bootstrap",
        level=level,
    )


def check_gold(rows: Sequence[QuestionSamples]) -> None:
    """Refuse what cannot be evaluated: no question, no sample, no gold answer."""
    if not rows:
        raise UserError("there is no question to evaluate")
    open_ones = sum(not isinstance(row.question, Question) for row in rows)
    if open_ones:
        raise NoGold(f"{open_ones} of {len(rows)} questions have no gold answer: give a file that names the answers")
    empty = sum(not row.samples for row in rows)
    if empty:
        raise UserError(f"{empty} of {len(rows)} questions have no samples: draw them first")


def accuracy_share(
    values: Sequence[float], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean of one share per question: Wilson where every question has one outcome, else the bootstrap."""
    if all(value in (0.0, 1.0) for value in values):
        return wilson(int(sum(values)), len(values), level)
    return bootstrap_mean(values, level=level, resamples=resamples, seed=seed)


def _mean(samples: Sequence[Sample], measure: Callable[[Sample], float]) -> float:
    return sum(measure(sample) for sample in samples) / len(samples)
