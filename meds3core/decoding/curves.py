"""Every strategy and aggregator for every n, computed afterwards from one stored set of samples and scores.

A question's accuracy at n is an expectation over the subsets of n of its N samples. Closed forms: pass@k, best-of-n
(order statistics), and whether any sample has an answer. Votes are the mean over all subsets where these are few
(always at n = 1 and n = N), else over seeded ones, which every strategy and aggregator shares.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meds3core.decoding.expectation import Floats, Verdicts, any_of, best_of, verdicts, voted
from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet, require_match
from meds3core.decoding.spending import Spending
from meds3core.decoding.strategies import OUTCOME, STRATEGIES, sample_score
from meds3core.decoding.subsets import Subsets, subsets_of
from meds3core.errors import ConfigError
from meds3core.prm.aggregate import AGGREGATORS
from meds3core.types.question import Question
from meds3core.types.record import Record

PASS = "pass"
"""pass@k: whether any of the samples is right. It needs the gold, and no strategy can do better."""


class CurvePoint(Record):
    """One strategy at one n. Sequences are per question, in the order of `Curves.question_ids`.

    Costs are expected tokens: generated ones, prompts after caching, and what the reward model read.
    """

    strategy: str
    aggregator: str | None
    """None where no score is read; `outcome` for an outcome reward model's."""
    n: int
    exact: bool
    """Whether `correct` is exact over all subsets, not the mean over seeded ones."""
    correct: tuple[float, ...]
    no_answer: tuple[float, ...]
    """Probability that the strategy has no answer to give; it then counts as not correct."""
    generated_tokens: tuple[float, ...]
    prompt_tokens: tuple[float, ...]
    scored_tokens: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the questions; 0 where there is none."""
        return _mean(self.correct)

    @property
    def tokens(self) -> float:
        """Mean of generated plus scored tokens per question: what "equal tokens" means (METHOD.md §5)."""
        return _mean(self.generated_tokens) + _mean(self.scored_tokens)


class Curves(Record):
    """All points computed from one sample set."""

    question_ids: tuple[str, ...]
    failed: tuple[str, ...]
    """Questions without samples: they are in no figure, and whoever reports must say so."""
    samples_hash: str
    prm_hash: str | None
    orm_hash: str | None
    subsets: int
    seed: int
    points: tuple[CurvePoint, ...]

    def point(self, strategy: str, n: int, aggregator: str | None = None) -> CurvePoint:
        """One point. Raises `ConfigError` when it was not computed."""
        for point in self.points:
            if (point.strategy, point.n, point.aggregator) == (strategy, n, aggregator):
                return point
        raise ConfigError(f"no point was computed for {strategy} at n = {n} with aggregator {aggregator}")


def compute_curves(
    samples: SampleSet,
    *,
    prm: ScoreSet | None = None,
    orm: ScoreSet | None = None,
    ns: Sequence[int] | None = None,
    strategies: Sequence[str] | None = None,
    aggregators: Sequence[str] | None = None,
    subsets: int = 100,
    seed: int = 0,
) -> Curves:
    """Accuracy, no-answer rate and cost of every strategy and aggregator at every n.

    Left out: `ns` are the powers of two up to N, and N; `strategies` all for which there are scores, and `pass`
    (`greedy` for samples drawn at temperature 0, and only for these); `aggregators` all. Raises `ConfigError` for an n
    beyond N, a strategy without its scores, scores of other samples, or questions without gold.
    """
    _check(samples, prm, orm)
    total = samples.source.n
    names = _names(samples, prm, orm) if strategies is None else list(strategies)
    known = verdicts(samples)
    spending = Spending(samples)
    sets: dict[str, ScoreSet | None] = {"nothing": None, "prm": prm, "orm": orm}
    tables = _score_tables(samples, prm, orm, names, list(AGGREGATORS) if aggregators is None else list(aggregators))
    points = []
    for n in _sizes(ns, total):
        chosen = subsets_of([row.question.content_hash for row in samples.rows], total, n, subsets, seed)
        no_answer = 1.0 - any_of(known.answered.sum(axis=1), total, n)
        for name in names:
            if name == "greedy" and n > 1:
                continue
            read = sets["nothing" if name == PASS else STRATEGIES[name].needs]
            scored_tokens = spending.scored(read, n) if read is not None else np.zeros(len(samples.rows))
            for aggregator, scores in tables[name]:
                correct, exact = _correct(name, known, scores, chosen, n)
                points.append(
                    CurvePoint(
                        strategy=name,
                        aggregator=aggregator,
                        n=n,
                        exact=exact,
                        correct=_tuple(correct),
                        no_answer=_tuple(no_answer if name != "greedy" else ~known.answered[:, 0]),
                        generated_tokens=_tuple(spending.generated(n)),
                        prompt_tokens=_tuple(spending.prompts(n)),
                        scored_tokens=_tuple(scored_tokens),
                    )
                )
    return Curves(
        question_ids=tuple(row.question.id for row in samples.rows),
        failed=tuple(failure.id for failure in samples.failures),
        samples_hash=samples.content_hash,
        prm_hash=prm.content_hash if prm else None,
        orm_hash=orm.content_hash if orm else None,
        subsets=subsets,
        seed=seed,
        points=tuple(points),
    )


def _correct(name: str, known: Verdicts, scores: Floats, subsets: Subsets, n: int) -> tuple[Floats, bool]:
    """[Q] expected correctness of a strategy at n, and whether it is exact."""
    match name:
        case "greedy":
            return known.correct[:, 0], True
        case "pass":
            return any_of((known.correct > 0).sum(axis=1), known.correct.shape[1], n), True
        case "best-of-n" | "orm-best-of-n":
            return best_of(known, scores, n), True
        case "self-consistency":
            return voted(known, None, subsets), subsets.exact
        case _:
            return voted(known, scores, subsets, mean=name == "vote-mean"), subsets.exact


def _score_tables(
    samples: SampleSet, prm: ScoreSet | None, orm: ScoreSet | None, names: Sequence[str], aggregators: Iterable[str]
) -> dict[str, list[tuple[str | None, Floats]]]:
    """By strategy: (aggregator, [Q, N] scores) for each way to aggregate."""
    aggregators = list(aggregators)
    unknown = [aggregator for aggregator in aggregators if aggregator not in AGGREGATORS]
    if unknown:
        raise ConfigError(f"unknown aggregator {unknown[0]!r}; there are {', '.join(AGGREGATORS)}")
    nothing: list[tuple[str | None, Floats]] = [(None, np.zeros(0))]
    by_need: dict[str, list[tuple[str | None, Floats]]] = {"nothing": nothing}
    for need, scores, ways in (("prm", prm, aggregators), ("orm", orm, [OUTCOME])):
        if scores is not None:
            by_need[need] = [(way, _score_table(samples, scores, way)) for way in ways]
    tables = {}
    for name in names:
        if name != PASS and name not in STRATEGIES:
            raise ConfigError(f"unknown strategy {name!r}; there are {', '.join([*STRATEGIES, PASS])}")
        need = "nothing" if name == PASS else STRATEGIES[name].needs
        if need not in by_need:
            raise ConfigError(f"strategy {name!r} needs the scores of a {need.upper()}; none were given")
        if name == "greedy" and samples.source.temperature > 0:
            raise ConfigError(
                f"these samples were drawn at temperature {samples.source.temperature}: greedy needs a set drawn at 0"
            )
        tables[name] = by_need[need]
    return tables


def _score_table(samples: SampleSet, scores: ScoreSet, aggregator: str) -> Floats:
    values = [[sample_score(steps, aggregator) for steps in row.scores] for row in scores.rows]
    return np.array(values, float).reshape(len(samples.rows), samples.source.n)


def _check(samples: SampleSet, prm: ScoreSet | None, orm: ScoreSet | None) -> None:
    for scores, kind in ((prm, "prm"), (orm, "orm")):
        if scores is None:
            continue
        require_match(samples, scores)
        if scores.source.kind != kind:
            raise ConfigError(f"the scores by {scores.source.model} are not those of a {kind.upper()}")
    if not all(isinstance(row.question, Question) for row in samples.rows):
        raise ConfigError("some questions have no gold answer, so nothing can be said about accuracy")


def _names(samples: SampleSet, prm: ScoreSet | None, orm: ScoreSet | None) -> list[str]:
    if samples.source.temperature == 0:
        return ["greedy"]
    have = {"nothing", *(["prm"] if prm else []), *(["orm"] if orm else [])}
    return [PASS, *(name for name, strategy in STRATEGIES.items() if strategy.needs in have and name != "greedy")]


def _sizes(ns: Sequence[int] | None, total: int) -> list[int]:
    if ns is None:
        return sorted({1 << power for power in range(total.bit_length())} | {total})
    beyond = [n for n in ns if not 1 <= n <= total]
    if beyond:
        raise ConfigError(f"n = {beyond[0]}, but there are {total} samples per question")
    return sorted(set(ns))


def _tuple(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(values.astype(float).tolist())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
