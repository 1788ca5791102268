"""What the tiny policy is taught: training questions with reasoning that holds planted misconceptions and slips."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from meds3core.sandbox.clinic import FAMILIES, draw
from meds3core.sandbox.forms import Level
from meds3core.sandbox.writing import write
from meds3core.text.steps import SEPARATOR, render_step

SHARES: Mapping[str, float] = {
    "dosing": 1.2,
    "anion-gap": 1.2,
    "curb65": 1.2,
    "fluids": 0.8,
    "calcium": 0.8,
    "clearance": 1.0,
    "acid-base": 0.9,
    "contraindication": 1.0,
    "lab-table": 0.9,
}
"""How often each family is drawn, relative to the others: what is learnt more slowly is drawn more often."""


@dataclass(frozen=True)
class Demonstration:
    """Token ids of a prompt and of the reasoning that follows it, end-of-sequence included."""

    prompt: list[int]
    response: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


def demonstrations(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Demonstration]:
    """Endless demonstrations from the training space."""
    rng = Random(f"demonstrations {seed}")
    families, weights = list(SHARES), list(SHARES.values())
    pieces = _Pieces(tokenizer)
    while True:
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
        yield Demonstration(prompt, [*response, tokenizer.eos_token_id])


class _Pieces:
    """Tokenises one piece at a time, as every prompt is made (METHOD.md §1)."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._backend = tokenizer.backend_tokenizer

    def ids(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids)
