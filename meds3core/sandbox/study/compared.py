"""Which kind of labels is best, and whether that can be told: every pair of kinds on the same questions and resamples.

Two criteria. *Selection*: how often the strategy that validation questions chose is right with all samples. *Finding*:
the area under the ROC curve of wrong steps (absolutely, all answers). Both are means over the samples of the base and
of the last policy, so that no kind wins by one of them.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from meds3core.evaluation.intervals import LEVEL, Estimate, Floats
from meds3core.evaluation.paired import paired_over_seeds
from meds3core.sandbox.study.config import LabelVariant, StudyConfig
from meds3core.sandbox.study.reward import RewardFigures
from meds3core.types.labels import LabelKind
from meds3core.types.record import Record

Criterion = Literal["selection", "finding"]
Measured = Mapping[LabelVariant, Sequence[RewardFigures]]
"""By variant, one per seed."""


class Behind(Record):
    """A variant and how far it lies behind the best one."""

    variant: LabelVariant
    value: float
    behind: Estimate | None = Field(description="The best minus this; None: this is the best")

    @property
    def level(self) -> bool:
        """Whether it cannot be told from the best."""
        return self.behind is None or self.behind.low <= 0.0


class Compared(Record):
    """All variants by one criterion, the best first."""

    criterion: Criterion
    order: tuple[Behind, ...]


class DualClaim(Record):
    """The dual label against another one with the same source and rollouts: dual minus other."""

    other: LabelVariant
    selection: Estimate
    finding: Estimate | None


class Kept(Record):
    """The variants that every seed trains, and which of them the validation questions prefer for what."""

    variants: tuple[LabelVariant, ...] = Field(min_length=1)
    selection: LabelVariant
    finding: LabelVariant


def compared(criterion: Criterion, measured: Measured) -> Compared:
    """Rank the variants and set each against the best."""
    values = {variant: _value(criterion, runs) for variant, runs in measured.items()}
    order = sorted(values, key=lambda variant: -values[variant])
    best = order[0]
    return Compared(
        criterion=criterion,
        order=tuple(
            Behind(
                variant=variant,
                value=values[variant],
                behind=None if variant == best else difference(criterion, measured[best], measured[variant]),
            )
            for variant in order
        ),
    )


def dual_claims(measured: Measured) -> tuple[DualClaim, ...]:
    """The dual label against the soft and the hard ones (the paper's comparison), wherever all else is equal."""
    found = []
    for dual, runs in measured.items():
        if dual.label is not LabelKind.DUAL:
            continue
        for other, others in measured.items():
            same = (other.source, other.rollouts) == (dual.source, dual.rollouts)
            if same and other.label in (LabelKind.SOFT, LabelKind.HARD):
                selection = difference("selection", runs, others)
                assert selection is not None
                found.append(DualClaim(other=other, selection=selection, finding=difference("finding", runs, others)))
    return tuple(found)


def difference(criterion: Criterion, one: Sequence[RewardFigures], other: Sequence[RewardFigures]) -> Estimate | None:
    """The first minus the second, with a paired interval. None: an area is undefined."""
    if criterion == "selection":
        return paired_over_seeds(_selected(other), _selected(one)).mean.difference
    a, b = _areas(one), _areas(other)
    if a is None or b is None:
        return None
    value, draws = a[0] - b[0], a[1] - b[1]
    low, high = np.percentile(draws, [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)])
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=len(one[0].policies[0].question_ids),
        method="paired-bootstrap",
    )


def best_variants(config: StudyConfig, measured: Measured) -> Kept:
    """The kinds to train on every seed, by the validation questions alone, each in its better variant.

    Only variants with all rollouts. First the best for selection, then the best for finding errors, then more by
    selection up to `config.kept`, then what `config.always` names.
    """
    most = max(variant.rollouts for variant in measured)
    full = [variant for variant in measured if variant.rollouts == most]
    by_selection = sorted(full, key=lambda variant: -_validated(measured[variant][0]))
    by_finding = sorted(full, key=lambda variant: -_found(measured[variant][0]))
    chosen: dict[str, LabelVariant] = {}
    for variant in (by_selection[0], by_finding[0], *by_selection):
        if len(chosen) < config.kept:
            chosen.setdefault(variant.kind, variant)
    for label in config.always:
        if all(variant.label is not label for variant in chosen.values()):
            more = next((variant for variant in by_selection if variant.label is label), None)
            if more is not None:
                chosen[more.kind] = more
    variants = tuple(chosen.values())
    finding = next((variant for variant in by_finding if variant in variants), variants[0])
    return Kept(variants=variants, selection=variants[0], finding=finding)


def _validated(figures: RewardFigures) -> float:
    return float(np.mean([each.choice.accuracy for each in figures.policies]))


def _found(figures: RewardFigures) -> float:
    return float(np.mean([each.validation_area or 0.0 for each in figures.policies]))


def _value(criterion: Criterion, runs: Sequence[RewardFigures]) -> float:
    if criterion == "selection":
        return float(np.mean([list(run.values()) for run in _selected(runs)]))
    areas = _areas(runs)
    return 0.0 if areas is None else areas[0]


def _selected(runs: Sequence[RewardFigures]) -> list[dict[str, float]]:
    """By run: question to correctness with all samples, mean of both policies."""
    found = []
    for run in runs:
        columns = [max(each.by_n, key=lambda at: at.n).chosen for each in run.policies]
        found.append(dict(zip(run.policies[0].question_ids, np.mean(columns, axis=0).tolist(), strict=True)))
    return found


def _areas(runs: Sequence[RewardFigures]) -> tuple[float, Floats] | None:
    """Mean area of all runs and policies, and of each resample."""
    areas = [each.area("absolute", "all") for run in runs for each in run.policies]
    values = [area.value for area in areas if area.value is not None]
    if len(values) < len(areas):
        return None
    return float(np.mean(values)), np.mean([list(area.draws) for area in areas], axis=0)
