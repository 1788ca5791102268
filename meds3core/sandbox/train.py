"""Train the tiny base policy from scratch: `python -m meds3core.sandbox.train --out FOLDER`.

A Llama of 1.5 million parameters, next-token loss on the reasoning only, fresh demonstrations at every step, Muon for
the matrices inside the blocks and AdamW for the rest, warm-up and linear decay. Everything is seeded; with
`--minutes` the number of steps depends on the machine.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from meds3core.sandbox.demonstrations import SHARES, Demonstration, demonstrations
from meds3core.sandbox.tokenizer import CONTEXT, build

IGNORED = -100
LARGEST_IN_FLOAT32 = 2_500_000
"""A model with more parameters is stored in bfloat16."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on. Tokens count prompts and padding-free responses."""

    seed: int = 0
    tokens: int = 18_000_000
    batch: int = 32
    hidden: int = 192
    intermediate: int = 512
    layers: int = 3
    heads: int = 3
    matrix_rate: float = 0.02
    other_rate: float = 0.004
    warm_up: float = 0.02
    initial_std: float = 0.06
    drills: float = 0.2
    first_rate: float = 1.0
    """Share of the learning rates with which the decay begins; below 1 for a run that continues another."""
    leave_out: str = ""
    """Families that are not taught, separated by commas."""


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh model. Heads are 64 wide, which every attention kernel supports, and have their own keys and values."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=64,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=recipe.initial_std,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Batch:
    """Right-padded ids and labels, both [sequences, length]; labels are IGNORED on prompts and padding."""

    ids: Tensor
    labels: Tensor
    tokens: int


def collate(group: list[Demonstration], pad: int) -> Batch:
    """Pad on the right: causal attention then needs no mask."""
    length = max(map(len, group))
    ids = torch.full((len(group), length), pad)
    labels = torch.full((len(group), length), IGNORED)
    for row, item in enumerate(group):
        whole, taught = torch.tensor(item.ids), torch.tensor(item.taught)
        ids[row, : len(whole)] = whole
        labels[row, : len(whole)] = torch.where(taught, whole, IGNORED)
    return Batch(ids, labels, sum(map(len, group)))


def batches(stream: Iterator[Demonstration], size: int, pad: int, generator: torch.Generator) -> Iterator[Batch]:
    """Batches of sequences of like length, in random order within a pool, so that little is padding."""
    while True:
        pool = sorted(islice(stream, 16 * size), key=len)
        for start in torch.randperm(16, generator=generator).tolist():
            yield collate(pool[start * size : (start + 1) * size], pad)


def loss_of(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy over the tokens of the reasoning. Products run in bfloat16, sums in float32."""
    targets = batch.labels[:, 1:]
    taught = targets != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[taught])  # [taught tokens, vocabulary]
    return nn.functional.cross_entropy(logits.float(), targets[taught])


def optimizers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for matrices inside the blocks, AdamW for embeddings and gains."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=recipe.matrix_rate, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_factor(progress: float, warm_up: float) -> float:
    """Linear warm-up, then linear decay to nearly nothing; `progress` runs from 0 to 1."""
    return min(progress / warm_up, 1.0) * max(1.0 - progress, 0.01) if warm_up else max(1.0 - progress, 0.01)


def train(
    recipe: Recipe, out: Path, start: Path | None = None, minutes: float = math.inf, save_every_s: float = 600.0
) -> LlamaForCausalLM:
    """Run the recipe and write the policy's folder, also now and then on the way.

    `start` is a policy to go on from. With `minutes` the run ends by then at the latest, its decay complete; how many
    tokens it saw stands in the card.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    tokenizer = build()
    model = make_model(recipe, tokenizer)
    if start is not None:
        model.load_state_dict(LlamaForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict())
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    steppers = optimizers(model, recipe)
    base_rates = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    generator = torch.Generator().manual_seed(recipe.seed)
    shares = {name: share for name, share in SHARES.items() if name not in recipe.leave_out.split(",")}
    source = demonstrations(tokenizer, recipe.seed, recipe.drills, shares)
    stream = batches(source, recipe.batch, int(tokenizer.pad_token_id), generator)
    seen, running, begun, saved = 0, math.nan, time.monotonic(), time.monotonic()
    for step, batch in enumerate(stream):
        progress = max(seen / recipe.tokens, (time.monotonic() - begun) / (60 * minutes))
        if progress >= 1:
            break
        factor = recipe.first_rate * rate_factor(progress + 1e-4, recipe.warm_up)
        for stepper, rates in zip(steppers, base_rates, strict=True):
            for group, rate in zip(stepper.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        loss = loss_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        seen += batch.tokens
        running = loss.item() if math.isnan(running) else 0.95 * running + 0.05 * loss.item()
        elapsed = time.monotonic() - begun
        if step % 50 == 0:
            print(f"step {step} tokens {seen:,} loss {running:.4f} {seen / elapsed:,.0f} tokens/s", flush=True)
        if time.monotonic() - saved > save_every_s:
            save(model, tokenizer, recipe, seen, elapsed, out, start)
            saved = time.monotonic()
    save(model, tokenizer, recipe, seen, time.monotonic() - begun, out, start)
    return model


def save(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    tokens: int,
    seconds: float,
    out: Path,
    start: Path | None,
) -> None:
    """Write weights, tokenizer, generation settings and the policy's card of settings."""
    out.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for p in model.parameters())
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    if parameters > LARGEST_IN_FLOAT32:
        stored = LlamaForCausalLM(model.config)  # type: ignore[no-untyped-call]
        stored.load_state_dict(model.state_dict())
        nn.Module.to(stored, torch.bfloat16)
        stored.save_pretrained(out)
    else:
        model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    card = {
        "name": "clinic-base",
        "prompt": "plain",
        "presets": {"train": "clinic", "search": "quick"},
        "provenance": {
            "script": "meds3core/sandbox/train.py",
            "seed": recipe.seed,
            "tokens": tokens,
            "seconds": round(seconds),
            "parameters": parameters,
            "recipe": recipe.__dict__,
            "shares": dict(SHARES),
            "continued_from": json.loads((start / "meds3.json").read_text())["provenance"] if start else None,
        },
    }
    (out / "meds3.json").write_text(json.dumps(card, indent=2) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="policy to go on from")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then")
    for name, default in Recipe().__dict__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    settings = vars(parser.parse_args())
    out, start, minutes = (settings.pop(name) for name in ("out", "start", "minutes"))
    train(Recipe(**settings), out, start, minutes)


if __name__ == "__main__":
    main()
