"""SFT sets: rejection sampling. The right trajectories of a question, best by minimum value first (METHOD.md §3)."""

from collections.abc import Sequence

from meds3core.config.labels import SftLabelConfig
from meds3core.labels.base import Tally
from meds3core.labels.prefix import prefix_hash
from meds3core.labels.reading import TreeReading
from meds3core.types.labels import SftExample

WRONG = "trajectories with a wrong answer"
TOOK_BACK = "right trajectories that took an answer back (reflected)"
REPEATED = "right trajectories that say the same as a better one"
TOO_MANY = "right trajectories beyond the best (per_question)"
SOLVED = "right trajectories of questions without a wrong one (per_solved_question)"


def sft_examples(readings: Sequence[TreeReading], config: SftLabelConfig, dropped: Tally) -> list[SftExample]:
    """The examples of one question, from all its trees, best first; equally good ones in order of creation.

    A question whose finished trajectories are all right teaches least and keeps at most `per_solved_question`.

    Example: right trajectories with values (0.6, 0.9, 1), (0.8, 0.7, 1) and (0.5, 1), a wrong one, `per_question` 2:
    the minima are 0.6, 0.7 and 0.5, so the second and the first are kept, in this order.
    """
    found: list[tuple[float, int, int]] = []
    wrong = 0
    for index, reading in enumerate(readings):
        for node in reading.finished():
            if not reading.verdicts[node]:
                wrong += 1
            elif reading.took_back(node) and not config.reflected:
                dropped[TOOK_BACK] += 1
            else:
                found.append((-reading.weakest(node), index, node))
    dropped[WRONG] += wrong
    limit = config.per_question if wrong else min(config.per_question, config.per_solved_question)
    seen: set[tuple[str, ...]] = set()
    examples: list[SftExample] = []
    for weakest, index, node in sorted(found):
        reading = readings[index]
        bodies = reading.bodies(reading.path(node))
        if bodies in seen:
            dropped[REPEATED] += 1
            continue
        seen.add(bodies)
        if len(examples) == limit:
            dropped[TOO_MANY if wrong else SOLVED] += 1
            continue
        examples.append(
            SftExample(
                question=reading.question,
                bodies=bodies,
                weakest=-weakest,
                node=node,
                prefix_hash=prefix_hash(reading.question, bodies),
                origin=reading.origin,
            )
        )
    return examples
