"""Which examples each optimiser step sees: fixed before training, whatever the device, the processes or a restart.

The epochs' permutations are laid end to end and cut into whole batches, so every batch is full and an example is seen
equally often up to the last batch. Within a stretch of batches, examples of like length are put together (little
padding) and the batches shuffled again. A step's examples depend on `batch_size` alone: how they are split into micro
batches and over processes changes only the order of summation.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meds3core.config.training import TrainConfig
from meds3core.errors import ConfigError

STRETCH = 16
"""Batches among which examples are sorted by length."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`order`: index of the example at each position, `steps` × batch size; `tokens[s]`: seen after step s + 1."""

    order: tuple[int, ...]
    steps: int
    tokens: tuple[int, ...]

    def without_tokens(self) -> "Plan":
        """The same order where the number of tokens is not known beforehand."""
        return replace(self, tokens=())


def plan_batches(lengths: Sequence[int], config: TrainConfig, *, size: int | None = None) -> Plan:
    """The order for examples of these lengths (tokens). An incomplete last batch is filled from one more shuffle.

    `size`: examples per step where that is not `batch_size`.
    """
    size, count = size or config.batch_size, len(lengths)
    steps = config.max_steps or max(1, math.ceil(config.epochs * count / size - 1e-9))
    chance = random.Random(config.seed)
    stream: list[int] = []
    while len(stream) < steps * size:
        stream.extend(chance.sample(range(count), count))
    batches: list[list[int]] = []
    for start in range(0, steps * size, STRETCH * size):
        stretch = sorted(stream[start : min(start + STRETCH * size, steps * size)], key=lambda i: (-lengths[i], i))
        cut = [stretch[first : first + size] for first in range(0, len(stretch), size)]
        batches.extend(chance.sample(cut, len(cut)))
    tokens, seen = [], 0
    for batch in batches:
        seen += sum(lengths[i] for i in batch)
        tokens.append(seen)
    return Plan(tuple(i for batch in batches for i in batch), steps, tuple(tokens))


def accumulation(config: TrainConfig, processes: int) -> int:
    """Forward passes per optimiser step in each process. Raises `ConfigError` when the numbers do not divide."""
    together = config.micro_batch_size * processes
    if config.batch_size % together:
        raise ConfigError(
            f"batch_size ({config.batch_size}) must be a multiple of micro_batch_size ({config.micro_batch_size}) × "
            f"processes ({processes})"
        )
    return config.batch_size // together
