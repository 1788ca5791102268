"""The strategy is chosen on a validation set and reported once on the test set; the full grid is exploratory.

With fifty combinations of strategy, aggregator and n, the best figure of a test set is flattering by construction.
Whoever quotes a figure quotes the chosen one; the grid is there to be looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from pydantic import Field

from meds3core.config.evaluation import EvaluationConfig
from meds3core.decoding.curves import PASS, CurvePoint, Curves, compute_curves
from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.errors import ConfigError
from meds3core.evaluation.intervals import Estimate, Floats, Resampling, bootstrap_means
from meds3core.evaluation.paired import PairedDifference, paired_difference
from meds3core.types.record import Record

CONSENSUS = "self-consistency"
GREEDY = "greedy"


class StrategyKey(Record):
    """A way to answer from n samples. `scorer`: name of the reward model whose scores it reads, empty for none."""

    strategy: str
    scorer: str = ""
    aggregator: str | None = None
    n: int = Field(ge=1)

    @property
    def label(self) -> str:
        """As reports call it: `vote-sum last (prm) @16`."""
        parts = [self.strategy]
        if self.aggregator not in (None, "outcome"):
            parts.append(str(self.aggregator))
        if self.scorer:
            parts.append(f"({self.scorer})")
        return f"{' '.join(parts)} @{self.n}"


class StrategyFigures(Record):
    """One strategy at one n: how often it is right, and at what cost per question."""

    key: StrategyKey
    exact: bool = Field(description="Over all subsets of the samples; else the mean over seeded ones")
    accuracy: Estimate
    no_answer: Estimate
    generated_tokens: Estimate
    prompt_tokens: Estimate = Field(description="Computed anew, after caching")
    scored_tokens: Estimate

    @property
    def tokens(self) -> float:
        """Generated plus scored: what "equal tokens" means (METHOD.md §5)."""
        return self.generated_tokens.value + self.scored_tokens.value


class Against(Record):
    """The chosen strategy against another one on the same questions."""

    other: StrategyKey
    difference: PairedDifference = Field(description="Chosen minus other")


class Selection(Record):
    """What may be quoted."""

    chosen: StrategyKey
    how: str = Field(description="In words: on what it was chosen, by what rule")
    validation: Estimate | None = Field(description="Its accuracy where it was chosen; None: fixed beforehand")
    test: Estimate
    against: tuple[Against, ...]


class Candidates:
    """All strategies of one sample set, with and without the scores of several reward models, by question."""

    def __init__(self, samples: SampleSet, scores: Mapping[str, ScoreSet], config: EvaluationConfig) -> None:
        self.question_ids = tuple(row.question.id for row in samples.rows)
        self.n = samples.source.n
        self.points: dict[StrategyKey, CurvePoint] = {}
        self._config = config
        for key, point in _points(samples, scores, config):
            self.points.setdefault(key, point)

    @cached_property
    def figures(self) -> tuple[StrategyFigures, ...]:
        """With intervals over questions, all on the same resamples."""
        config = self._config
        points = list(self.points.values())
        options = Resampling(level=config.level, resamples=config.resamples, seed=config.seed)

        def means(column: str) -> list[Estimate]:
            return bootstrap_means([*zip(*(getattr(point, column) for point in points), strict=True)], **options)

        columns = {
            "accuracy": means("correct"),
            **{name: means(name) for name in ("no_answer", "generated_tokens", "prompt_tokens", "scored_tokens")},
        }
        return tuple(
            StrategyFigures(key=key, exact=point.exact, **{name: column[place] for name, column in columns.items()})
            for place, (key, point) in enumerate(self.points.items())
        )

    @property
    def eligible(self) -> list[StrategyKey]:
        """All that answer from the full number of samples and need no gold."""
        return [key for key in self.points if key.strategy != PASS and key.n == self.n]

    def best(self) -> StrategyKey:
        """The most accurate eligible one; ties go to fewer tokens, then to the name."""
        return min(self.eligible, key=lambda key: (-self.accuracy(key), self.points[key].tokens, key.label))

    def accuracy(self, key: StrategyKey) -> float:
        """Mean over questions. Raises `ConfigError` when this was not computed."""
        return _mean(self._point(key).correct)

    def correct(self, key: StrategyKey) -> Floats:
        """(questions,) expected correctness. Raises `ConfigError` when this was not computed."""
        return np.array(self._point(key).correct)

    def _point(self, key: StrategyKey) -> CurvePoint:
        if key not in self.points:
            raise ConfigError(f"{key.label} was not computed: it needs its scores and as many samples")
        return self.points[key]


def select(
    test: Candidates,
    validation: Candidates | None,
    config: EvaluationConfig,
    greedy: Mapping[str, float] | None = None,
) -> Selection:
    """Choose on the validation set, or take the strategy that the configuration fixed; then look at the test set.

    The chosen one is set against self-consistency at the same n, a single sample, and the greedy answers where these
    are given for every question.

    A chosen strategy that the test set lacks (fewer samples, no such scores) raises `ConfigError`. Without a
    validation set and without the scores that the fixed strategy reads, it is self-consistency over all samples.
    """
    if validation is not None:
        chosen = validation.best()
        count = len(validation.question_ids)
        how = (
            f"the most accurate of {len(validation.eligible)} combinations of strategy and aggregator at n = "
            f"{validation.n} on {count:,} validation questions"
        )
        known = next(each for each in validation.figures if each.key == chosen).accuracy
    else:
        chosen, known = _fixed(test, config), None
        how = "fixed before anything was measured"
    correct = test.correct(chosen)
    test_estimate = next(each for each in test.figures if each.key == chosen).accuracy
    rivals = {
        key: test.correct(key)
        for key in (StrategyKey(strategy=CONSENSUS, n=chosen.n), StrategyKey(strategy=CONSENSUS, n=1))
        if key in test.points and key != chosen
    }
    if greedy is not None and all(identity in greedy for identity in test.question_ids):
        rivals[StrategyKey(strategy=GREEDY, n=1)] = np.array([greedy[identity] for identity in test.question_ids])
    return Selection(
        chosen=chosen,
        how=how,
        validation=known,
        test=test_estimate,
        against=tuple(
            Against(
                other=rival,
                difference=paired_difference(
                    other, correct, level=config.level, resamples=config.p_resamples, seed=config.seed
                ),
            )
            for rival, other in rivals.items()
        ),
    )


def require_disjoint(test: SampleSet, validation: SampleSet) -> None:
    """Raise `ConfigError` when a validation question is a test question, whatever its id."""
    asked = {row.question.content_hash for row in test.rows}
    both = sum(row.question.content_hash in asked for row in validation.rows)
    if both:
        raise ConfigError(
            f"{both} of {len(validation.rows)} validation questions are test questions too: choosing on them would "
            "flatter the result; take them out of one of the files"
        )


def _points(
    samples: SampleSet, scores: Mapping[str, ScoreSet], config: EvaluationConfig
) -> Iterator[tuple[StrategyKey, CurvePoint]]:
    runs: Sequence[tuple[str, ScoreSet | None]] = list(scores.items()) or [("", None)]
    for name, given in runs:
        kind = given.source.kind if given is not None else None
        curves: Curves = compute_curves(
            samples,
            prm=given if kind == "prm" else None,
            orm=given if kind == "orm" else None,
            ns=None if config.ns is None else [n for n in config.ns if n <= samples.source.n],
            aggregators=config.aggregators,
            subsets=config.subsets,
            seed=config.seed,
        )
        for point in curves.points:
            reads = point.aggregator is not None
            yield (
                StrategyKey(
                    strategy=point.strategy,
                    scorer=name if reads else "",
                    aggregator=point.aggregator,
                    n=point.n,
                ),
                point,
            )


def _fixed(test: Candidates, config: EvaluationConfig) -> StrategyKey:
    wanted = config.fixed
    for key in test.points:
        if (key.strategy, key.aggregator, key.n) == (wanted.strategy, wanted.aggregator, test.n):
            return key
    fallback = StrategyKey(strategy=CONSENSUS, n=test.n)
    return fallback if fallback in test.points else test.best()


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
