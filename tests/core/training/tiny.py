"""A tiny policy made in a moment, a few examples for it, and a sink that remembers."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from meds3core.config.training import DpoConfig, SftConfig
from meds3core.progress import CancelToken, ProgressEvent
from meds3core.text.steps import OPENER
from meds3core.types.labels import PairKind, PreferencePair, SftExample
from meds3core.types.question import NumberFormat, OpenQuestion
from tests.core.engines.tiny_llama import save_tokenizer

CONTEXT = 256


def write_policy(folder: Path, *, seed: int = 0) -> Path:
    """Two layers of width 32, output weights of their own, float32."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        initializer_range=0.1,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_question(number: int) -> OpenQuestion:
    return OpenQuestion(
        id=f"q{number}",
        text=f"A child of {number} kg is to have {number + 2} mg per kg. How many mg is that?",
        answer_format=NumberFormat(unit="mg"),
    )


def make_examples(count: int) -> list[SftExample]:
    """Of unequal lengths, so that padding and batches of like length matter."""
    made = []
    for number in range(1, count + 1):
        more = tuple(f"The dose is {number + step} mg." for step in range(number % 4))
        made.append(
            SftExample(
                question=make_question(number), bodies=(OPENER, *more, f"The answer is {number * (number + 2)} mg.")
            )
        )
    return made


def make_pairs(count: int) -> list[PreferencePair]:
    """Every other one stays open on both sides."""
    made = []
    for number in range(1, count + 1):
        finished = number % 2 == 0
        ends = (f"The answer is {number} mg.",) if finished else (f"The amount is {number} mg per kg.",)
        made.append(
            PreferencePair(
                kind=PairKind.FINISH if finished else PairKind.SIBLING,
                question=make_question(number),
                prefix=(OPENER,),
                chosen=(f"The dose is {number} mg.", *ends),
                rejected=(f"The daily dose is {number + 1} mg.", *ends) if number % 3 else ends,
                chosen_finished=finished,
                rejected_finished=finished,
                margin=0.9,
            )
        )
    return made


def sft_config(**changes: object) -> SftConfig:
    return SftConfig.model_validate(_QUICK | changes)


def dpo_config(**changes: object) -> DpoConfig:
    return DpoConfig.model_validate(_QUICK | changes)


_QUICK = {
    "learning_rate": 5e-3,
    "epochs": 2,
    "batch_size": 4,
    "micro_batch_size": 4,
    "threads": 1,
    "log_every": 1,
    "max_length": CONTEXT,
}


class Remembering:
    """A sink that keeps the events and, where asked, cancels or calls at a step."""

    def __init__(self, at=None, then=None):
        self.events: list[ProgressEvent] = []
        self.at = at
        self.then = then
        self.cancel = CancelToken()

    def emit(self, event: ProgressEvent) -> None:
        self.events.append(event)
        if (event.kind, event.done) == self.at:
            (self.then or self.cancel.cancel)()

    def of(self, kind: str) -> list[ProgressEvent]:
        return [event for event in self.events if event.kind == kind]

    @property
    def losses(self) -> list[float]:
        return [event.data["loss"] for event in self.of("training-step")]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
