"""A plain batched sampler for measuring the tiny policy; the product's engines are elsewhere.

Kept apart from them so that a fault in an engine cannot hide in the policy's own figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LONGEST_RESPONSE = 192
"""Tokens; the longest demonstration has about 130."""


@dataclass(frozen=True)
class Sampled:
    """One response and how many tokens it took, the end-of-sequence token included."""

    text: str
    tokens: int


class Sampler:
    """Holds a policy in memory, in float32."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model = model.eval()

    def greedy(self, questions: Sequence[str], batch: int = 128) -> list[Sampled]:
        """One response per question: the most likely token every time."""
        return [responses[0] for responses in self._run(questions, batch, do_sample=False)]

    def sample(
        self, questions: Sequence[str], n: int, seed: int, temperature: float = 1.0, batch: int = 256
    ) -> list[list[Sampled]]:
        """`n` responses per question, top-p 0.95."""
        torch.manual_seed(seed)
        settings = {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 0}
        return self._run(questions, max(1, batch // n), num_return_sequences=n, **settings)

    def _run(self, questions: Sequence[str], batch: int, **settings: Any) -> list[list[Sampled]]:
        prompts = [
            self._tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
            for text in questions
        ]
        ids = [self._tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))  # like lengths together: little padding
        results: list[list[Sampled]] = [[] for _ in ids]
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            padded = self._tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
            with torch.inference_mode():
                out = self._model.generate(**padded, max_new_tokens=LONGEST_RESPONSE, **settings)
            width = padded["input_ids"].shape[1]
            copies = len(out) // len(rows)
            for index, response in enumerate(out[:, width:].tolist()):
                results[rows[index // copies]].append(self._read(response))
        return results

    def _read(self, response: list[int]) -> Sampled:
        end = self._tokenizer.eos_token_id
        length = response.index(end) if end in response else len(response)
        return Sampled(self._tokenizer.decode(response[:length]), min(length + 1, len(response)))
