"""Do people who judge the same steps agree, and is a person right where the answer is known?

Krippendorff's alpha over all judgements, Cohen's kappa for each pair of people, alpha for each kind of error: with
intervals by resampling questions, as everywhere (`meds3core.evaluation.intervals`). The statistics are functions of how
often each question was drawn, so that thousands of resamples are quick; where every question is drawn once they equal
what `krippendorff` and scikit-learn give.

Only a person's first, blind word on a step may be handed in. "Can't tell" is no verdict: it is counted and otherwise
left out. Control items, whose answer is known, say whether each person is right and nothing of agreement: they are
easy ones, judged by everybody, and would drown the rest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    Floats,
    Integers,
    Resampling,
    Statistic,
    cluster_bootstrap,
    clustered_share,
    numbered,
)
from meds3core.types.judgements import SCALE, ErrorKind, Verdict
from meds3core.types.record import Record

Measurement = Literal["nominal", "ordinal"]

_VALUES = len(SCALE)


@dataclass(frozen=True, slots=True)
class Said:
    """One person's first, blind word on one step."""

    item: str
    """The step; any name that is the same for all who judged it."""
    question: str
    """What is resampled; steps of one question are not independent."""
    annotator: str
    verdict: Verdict
    errors: frozenset[ErrorKind] = frozenset()
    seconds: float | None = None
    known: Verdict | None = None
    """Of a planted control item: the right answer."""
    final: Verdict | None = None
    """What a reviewer decided in the end."""


class PairAgreement(Record):
    """Two people on the steps that both judged."""

    first: str
    second: str
    steps: int = Field(description="That both gave a verdict on")
    same: Estimate | None = Field(description="Share of them with the same verdict")
    kappa: Estimate | None = Field(description="Cohen's; None: undefined, e.g. where both always say the same one word")
    table: tuple[tuple[int, ...], ...] = Field(description="[verdict of the first][of the second], bad, neutral, good")


class KindAgreement(Record):
    """One kind of error: do people name it for the same steps?"""

    kind: ErrorKind
    named: int = Field(description="Judgements that name it")
    steps: int = Field(description="Steps with two verdicts or more, of which somebody named it for at least one")
    alpha: Estimate | None


class AnnotatorFigures(Record):
    """One person's work."""

    annotator: str
    judgements: int
    cant_tell: int
    verdicts: dict[Verdict, int]
    seconds: tuple[float, float, float] | None = Field(description="Quartiles of the time that a judgement took")
    per_hour: float | None = Field(description="Judgements, by the mean time")
    controls: int = Field(description="Control items judged")
    control_accuracy: Estimate | None = Field(description="Share of them judged as is known; can't tell is not")
    decided: int = Field(description="Steps judged that a reviewer decided, too")
    decided_accuracy: Estimate | None = Field(description="Share of them judged as the reviewer did")


class AgreementFigures(Record):
    """Everything that several people's judgements of the same steps tell."""

    judgements: int
    cant_tell: int
    steps: int
    controls: int = Field(description="Of these steps, those of control items: they tell nothing of agreement")
    several: int = Field(description="Steps with two verdicts or more, no control items: what agreement stands on")
    same: Estimate | None = Field(description="Share of those steps on which all verdicts are the same")
    nominal: Estimate | None = Field(description="Krippendorff's alpha; verdicts are the same or not")
    ordinal: Estimate | None = Field(description="The same; bad against good weighs more than neutral against good")
    pairs: tuple[PairAgreement, ...]
    kinds: tuple[KindAgreement, ...]
    annotators: tuple[AnnotatorFigures, ...]


def agreement_figures(
    said: Iterable[Said], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> AgreementFigures:
    """All figures. Raises `ValueError` where one person judged one step twice: a later word is none of agreement's."""
    rows = list(said)
    options = Resampling(level=level, resamples=resamples, seed=seed)
    by_item: dict[str, list[Said]] = defaultdict(list)
    for row in rows:
        by_item[row.item].append(row)
    for item in by_item.values():
        if len({row.annotator for row in item}) != len(item):
            raise ValueError("one person judged one step twice: hand in first words only")
    compared = {name: item for name, item in by_item.items() if all(row.known is None for row in item)}
    told = {name: [row for row in item if row.verdict in SCALE] for name, item in compared.items()}
    several = [item for item in told.values() if len(item) > 1]
    units = _units([[SCALE[row.verdict] for row in item] for item in several], [item[0].question for item in several])
    return AgreementFigures(
        judgements=len(rows),
        cant_tell=sum(row.verdict is Verdict.CANT_TELL for row in rows),
        steps=len(by_item),
        controls=len(by_item) - len(compared),
        several=len(several),
        same=clustered_share(
            [len({row.verdict for row in item}) == 1 for item in several],
            [item[0].question for item in several],
            **options,
        ),
        nominal=alpha(units, "nominal", options),
        ordinal=alpha(units, "ordinal", options),
        pairs=tuple(_pairs(told, options)),
        kinds=tuple(_kinds(several, [row for item in compared.values() for row in item], options)),
        annotators=tuple(_annotators(rows, options)),
    )


# --- Krippendorff's alpha ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Units:
    """How often each value was given to each unit (n, v), and the question of each unit as a number from 0 (n,)."""

    counts: Floats
    clusters: Integers
    questions: int


def alpha(units: Units, measurement: Measurement, options: Resampling) -> Estimate | None:
    """Krippendorff's alpha with its interval; None where it is undefined: no pairs, or one value only."""
    if not len(units.counts):
        return None
    return cluster_bootstrap(alpha_statistic(units, measurement), units.questions, **options, items=_VALUES**2)


def alpha_statistic(units: Units, measurement: Measurement) -> Statistic:
    """α = 1 − observed / expected disagreement, from coincidences of values within units (Krippendorff 2018, ch. 12).

    A unit with m values gives every ordered pair of them the weight 1 / (m − 1). Between values c and k of an ordinal
    scale lies (n_c/2 + n_{c+1} + … + n_k/2)², n being how often each value was given to units with a pair.
    """
    counts = units.counts
    values = counts.shape[1]
    given = counts.sum(axis=1)
    paired = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(values)
    paired[given < 2] = 0.0
    paired /= np.maximum(given - 1, 1)[:, None, None]
    by_question = np.zeros((units.questions, values * values))
    np.add.at(by_question, units.clusters, paired.reshape(len(counts), -1))

    def statistic(drawn: Floats) -> Floats:
        coincidences = (drawn @ by_question).reshape(-1, values, values)
        totals = coincidences.sum(axis=2)
        distance = _distances(totals, measurement)
        observed = (coincidences * distance).sum(axis=(1, 2))
        expected = (totals[:, :, None] * totals[:, None, :] * distance).sum(axis=(1, 2))
        size = totals.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(expected > 0, 1 - (size - 1) * observed / expected, np.nan)

    return statistic


def _distances(totals: Floats, measurement: Measurement) -> Floats:
    """Squared distances between values, (b, v, v), of totals (b, v)."""
    values = totals.shape[1]
    if measurement == "nominal":
        return np.broadcast_to(1 - np.eye(values), (len(totals), values, values))
    # Half of both ends and all of what lies between them is the difference of the middles of their ranks.
    middle = np.cumsum(totals, axis=1) - totals / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def _units(values: Sequence[Sequence[int]], questions: Sequence[str], size: int = _VALUES) -> Units:
    counts = np.zeros((len(values), size))
    for at, given in enumerate(values):
        for value in given:
            counts[at, value] += 1
    clusters, count = numbered(list(questions)) if questions else (np.zeros(0, dtype=np.int64), 0)
    return Units(counts, clusters, count)


def _kinds(several: Sequence[Sequence[Said]], rows: Sequence[Said], options: Resampling) -> Iterable[KindAgreement]:
    """By how often a kind is named; kinds that nobody named are left out."""
    named = Counter(kind for row in rows for kind in row.errors)
    questions = [item[0].question for item in several]
    for kind, count in sorted(named.items(), key=lambda pair: (-pair[1], pair[0])):
        marked = [[int(kind in row.errors) for row in item] for item in several]
        units = _units(marked, questions, size=2)
        yield KindAgreement(kind=kind, named=count, steps=sum(map(any, marked)), alpha=alpha(units, "nominal", options))


# --- Cohen's kappa -------------------------------------------------------------------------------------------------


def _pairs(told: Mapping[str, Sequence[Said]], options: Resampling) -> Iterable[PairAgreement]:
    """Every two people who judged a step in common, in order of name."""
    shared: dict[tuple[str, str], list[tuple[Said, Said]]] = defaultdict(list)
    for item in told.values():
        for one, other in combinations(sorted(item, key=lambda row: row.annotator), 2):
            shared[one.annotator, other.annotator].append((one, other))
    for (first, second), both in sorted(shared.items()):
        a, b = (np.array([SCALE[pair[side].verdict] for pair in both]) for side in (0, 1))
        questions = [pair[0].question for pair in both]
        clusters, count = numbered(questions)
        table = np.zeros((_VALUES, _VALUES), dtype=int)
        np.add.at(table, (a, b), 1)
        yield PairAgreement(
            first=first,
            second=second,
            steps=len(both),
            same=clustered_share(a == b, questions, **options),
            kappa=cluster_bootstrap(kappa_statistic(a, b, clusters, count), count, **options, items=_VALUES**2),
            table=tuple(tuple(int(cell) for cell in row) for row in table),
        )


def kappa_statistic(first: Integers, second: Integers, clusters: Integers, questions: int) -> Statistic:
    """κ = (observed − expected) / (1 − expected) agreement of two people's verdicts (n,), as places on the scale."""
    by_question = np.zeros((questions, _VALUES * _VALUES))
    np.add.at(by_question, (clusters, first * _VALUES + second), 1.0)

    def statistic(drawn: Floats) -> Floats:
        table = (drawn @ by_question).reshape(-1, _VALUES, _VALUES)
        size = table.sum(axis=(1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            observed = np.trace(table, axis1=1, axis2=2) / size
            expected = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1) / size**2
            return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)

    return statistic


# --- people --------------------------------------------------------------------------------------------------------


def _annotators(rows: Sequence[Said], options: Resampling) -> Iterable[AnnotatorFigures]:
    """Those with most judgements first."""
    by_name: dict[str, list[Said]] = defaultdict(list)
    for row in rows:
        by_name[row.annotator].append(row)
    for name, own in sorted(by_name.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        times = [row.seconds for row in own if row.seconds is not None]
        quartiles = np.percentile(times, [25, 50, 75]).round(2).tolist() if times else None
        controls = [row for row in own if row.known is not None]
        decided = [row for row in own if row.final is not None]
        verdicts = Counter(row.verdict for row in own)
        yield AnnotatorFigures(
            annotator=name,
            judgements=len(own),
            cant_tell=verdicts[Verdict.CANT_TELL],
            verdicts={verdict: verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
            seconds=tuple(quartiles) if quartiles else None,
            per_hour=round(3600 / float(np.mean(times)), 1) if times and sum(times) else None,
            controls=len(controls),
            control_accuracy=_share([row.verdict is row.known for row in controls], controls, options),
            decided=len(decided),
            decided_accuracy=_share([row.verdict is row.final for row in decided], decided, options),
        )


def _share(hits: Sequence[bool], rows: Sequence[Said], options: Resampling) -> Estimate | None:
    return clustered_share(np.array(hits, dtype=bool), [row.question for row in rows], **options) if rows else None
