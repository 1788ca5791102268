"""What the tiny policy is taught: training questions with reasoning that holds planted misconceptions and slips.

Drills go beside them: rows of calculations as the reasoning has them, in which only the results are taught. Arithmetic
is learnt slowly, and a drill holds several times as much of it as a demonstration of the same length.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from meds3core.sandbox.clinic import FAMILIES, draw
from meds3core.sandbox.forms import Level
from meds3core.sandbox.writing import write
from meds3core.text.steps import SEPARATOR, render_step

SHARES: Mapping[str, float] = {
    "dosing": 0.8,
    "anion-gap": 1.0,
    "curb65": 0.8,
    "fluids": 0.9,
    "calcium": 1.0,
    "clearance": 0.8,
    "acid-base": 1.0,
    "contraindication": 0.9,
    "lab-table": 1.3,
}
"""How often each family is drawn, relative to the others: what is learnt more slowly is drawn more often."""


@dataclass(frozen=True)
class Demonstration:
    """Token ids, and for each whether it is taught."""

    ids: list[int]
    taught: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


_CALCULATION = re.compile(r"(?P<task>.* = [0-9. ]+[-+×/] .*=)(?P<result> [0-9]+(?:\.[0-9]+)?)")
_DRILLS = 8
"""Calculations in one drill."""


def demonstrations(
    tokenizer: PreTrainedTokenizerFast, seed: int, drills: float = 0.0, shares: Mapping[str, float] = SHARES
) -> Iterator[Demonstration]:
    """Endless demonstrations from the training space; a share of `drills` are rows of calculations."""
    rng = Random(f"demonstrations {seed}")
    families, weights = list(shares), list(shares.values())
    pieces = _Pieces(tokenizer)
    while True:
        if drills and rng.random() < drills:
            yield _drill(pieces, rng, families, weights)
            continue
        family = FAMILIES[rng.choices(families, weights)[0]]
        case = draw(family, rng.choice(list(Level)), "train", rng)
        bodies = write(case, rng).bodies
        response: list[int] = []
        for number, body in enumerate(bodies):
            piece = render_step(number, body)
            response += pieces.ids(piece.removesuffix(SEPARATOR) if number == len(bodies) - 1 else piece)
        prompt = pieces.ids(
            f"{tokenizer.bos_token}<|user|>{case.text}<|end|><|assistant|>"  # equal to the chat template, tested
        )
        response.append(int(tokenizer.eos_token_id))
        yield Demonstration(prompt + response, [False] * len(prompt) + [True] * len(response))


def _drill(pieces: "_Pieces", rng: Random, families: list[str], weights: list[float]) -> Demonstration:
    ids: list[int] = []
    taught: list[bool] = []
    calculations = 0
    while calculations < _DRILLS:
        case = draw(FAMILIES[rng.choices(families, weights)[0]], rng.choice(list(Level)), "train", rng)
        for number, body in enumerate(write(case, rng, slip_rate=0.0).bodies):
            match = _CALCULATION.match(body)
            if match is None:
                continue
            for text, counts in ((f"Step {number}: {match['task']}", False), (match["result"], True), (".\n\n", False)):
                piece = pieces.ids(text)
                ids += piece
                taught += [counts] * len(piece)
            calculations += 1
    return Demonstration(ids, taught)


class _Pieces:
    """Tokenises one piece at a time, as every prompt is made (METHOD.md §1)."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer

    def ids(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids)
