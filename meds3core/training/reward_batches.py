"""What reward models are trained on: encoded trajectories with targets, planned into steps, packed into batches.

Two layouts compute the same loss. `flat`: a row per trajectory, padded on the right. `tree`: the trajectories of a pass
as a forest (`meds3core.prm.forest`), shared beginnings once. A step that several trajectories go through is read once
and counted as often as they go through it, each with its own target and weight, so that loss and gradients are those
of the flat layout.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from meds3core.config.training import TrainConfig
from meds3core.prm.passes import forest_batch, padded
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.batches import Plan
from meds3core.training.rows import RewardRow, one_sided
from meds3core.types.labels import LabelledTrajectory

Batch = dict[str, Any]


def refuse_one_sided(trajectories: Sequence[LabelledTrajectory]) -> None:
    """Raise `EmptyTrainingSet` where all trajectories are right or all are wrong: there is nothing to tell apart."""
    if only := one_sided(trajectories):
        raise EmptyTrainingSet(
            f"All {len(trajectories)} trajectories are {only}: a reward model learns from both kinds. Search more "
            "questions, or ones that the policy solves only sometimes."
        )


@dataclass(frozen=True, slots=True)
class PackPlan:
    """`packs`: rows of each forward pass, `passes` of them per optimiser step; `plan` counts steps and tokens."""

    packs: tuple[tuple[int, ...], ...]
    plan: Plan


def plan_packs(rows: Sequence[RewardRow], config: TrainConfig, passes: int) -> PackPlan:
    """Whole questions in each optimiser step, about `batch_size` trajectories on average.

    The epochs' shuffled questions are laid end to end; a question belongs to the step in which its middle falls, so the
    number of steps is that of the flat plan. Only a question with more than `batch_size` trajectories is divided. A
    step's rows do not depend on `passes` (micro batches × processes), into which they are cut evenly.
    """
    size = config.batch_size
    groups = [tuple(group[first : first + size]) for group in _by_prompt(rows) for first in range(0, len(group), size)]
    steps = config.max_steps or max(1, math.ceil(config.epochs * len(rows) / size - 1e-9))
    chance = random.Random(config.seed)
    batches: list[list[int]] = [[] for _ in range(steps)]
    placed = 0
    while placed < steps * size:
        for group in chance.sample(groups, len(groups)):
            # Middles are at most `size` apart, so no step stays empty.
            step = (2 * placed + len(group)) // (2 * size)
            if step < steps:
                batches[step].extend(group)
            placed += len(group)
    packs: list[tuple[int, ...]] = []
    tokens: list[int] = []
    seen = 0
    for batch in batches:
        seen += sum(len(rows[index].encoded.ids) for index in batch)
        tokens.append(seen)
        cuts = [len(batch) * number // passes for number in range(passes + 1)]
        packs.extend(tuple(batch[first:last]) for first, last in pairwise(cuts))
    return PackPlan(tuple(packs), Plan((), steps, tuple(tokens)))


def flat_batch(rows: Sequence[RewardRow]) -> Batch:
    """A row per trajectory. `places` are indices into the logits of the batch laid end to end."""
    ids = padded([row.encoded.ids for row in rows])
    width = ids.shape[1]
    places = [line * width + end for line, row in enumerate(rows) for end in row.encoded.ends]
    return {"input_ids": ids, "places": torch.tensor(places), **_targets(rows)}


def tree_batch(rows: Sequence[RewardRow], *, windows: bool = False) -> Batch:
    """The rows as a forest, in the order of their ids, so that sharers stand together."""
    ordered = sorted(rows, key=lambda row: row.encoded.ids)
    batch = forest_batch([row.encoded for row in ordered], windows=windows)
    return {
        "input_ids": batch.ids,
        "position_ids": batch.positions,
        "layout": batch.layout,
        "places": torch.cat(batch.ends),
        **_targets(ordered),
    }


def silent(row: RewardRow) -> RewardRow:
    """A stand-in for a pass without rows: it is computed and counts for nothing."""
    return RewardRow(row.encoded, row.targets, (0.0,) * len(row.weights))


def _targets(rows: Sequence[RewardRow]) -> Batch:
    return {
        "targets": torch.tensor([target for row in rows for target in row.targets]),
        "weights": torch.tensor([weight for row in rows for weight in row.weights]),
    }


def _by_prompt(rows: Sequence[RewardRow]) -> list[list[int]]:
    """Indices of the rows of each question, similar trajectories side by side."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.encoded.ids[: row.encoded.prompt_length], []).append(index)
    return [sorted(group, key=lambda index: (rows[index].encoded.ids, index)) for group in groups.values()]
