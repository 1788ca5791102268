"""Tiny random reward models in a moment: real classes of the library, byte-level tokenizer, no training."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    MistralConfig,
    MistralForTokenClassification,
    Qwen2Config,
    Qwen2ForTokenClassification,
)

from meds3core.encoding.trajectory import PROMPT
from meds3core.types.question import Gold, NumberFormat, OpenQuestion, Question
from tests.core.engines.tiny import write_tokenizer

CONTEXT = 640

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
CLASSES = {
    "llama": (LlamaForTokenClassification, LlamaConfig, {"num_key_value_heads": 4}),
    "qwen2": (Qwen2ForTokenClassification, Qwen2Config, {"num_key_value_heads": 2}),
    "mistral": (MistralForTokenClassification, MistralConfig, {"num_key_value_heads": 2, "sliding_window": 24}),
    "gemma2": (Gemma2ForTokenClassification, Gemma2Config, {"num_key_value_heads": 2, "attn_logit_softcapping": 20.0}),
    "longrope": (
        LlamaForTokenClassification,
        LlamaConfig,
        {
            "num_key_value_heads": 4,
            "rope_parameters": {
                "rope_type": "longrope",
                "short_factor": [1.0] * 8,
                "long_factor": [4.0] * 8,
                "rope_theta": 10000.0,
                "original_max_position_embeddings": 150,
            },
        },
    ),
}


def write_prm(
    folder: Path,
    kind: str = "llama",
    *,
    labels: int = 1,
    role: str = "prm",
    score_head: str | None = "sigmoid",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    head_dim: int = 16,
    max_position_embeddings: int = CONTEXT,
    **card: Any,
) -> Path:
    """A reward model with random weights; `score_head` None: published, without a card."""
    folder.mkdir(parents=True, exist_ok=True)
    model_class, config_class, more = CLASSES[kind]
    sizes = SIZES | {"head_dim": head_dim, "max_position_embeddings": max_position_embeddings}
    config = config_class(vocab_size=write_tokenizer(folder), num_labels=labels, **(sizes | more))
    torch.manual_seed(seed)
    model = model_class(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0.0, 0.25)
    model.to(dtype).save_pretrained(folder)
    if score_head:
        content = {"role": role, "score_head": score_head, "prompt": "plain", "prompt_hash": PROMPT.hash, **card}
        (folder / "meds3.json").write_text(json.dumps(content))
    return folder


def write_policy(folder: Path, seed: int = 0) -> Path:
    """A policy to start training from."""
    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(vocab_size=write_tokenizer(folder), num_key_value_heads=2, **SIZES)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0.0, 0.15)
    model.save_pretrained(folder)
    (folder / "meds3.json").write_text(json.dumps({"name": "tiny", "prompt": "plain"}))
    return folder


def make_question(number: int) -> Question:
    """A question whose text, and so its prompt's length, depends on the number."""
    return Question(
        id=f"q-{number}",
        text=f"Patient {number} weighs {number + 3} kg{' and is well' * (number % 4)}. The dose is 2 mg per kg?",
        answer_format=NumberFormat(unit="mg"),
        gold=Gold(value=f"{2 * (number + 3)} mg"),
    )


def prompt_ids(folder: Path, question: OpenQuestion) -> list[int]:
    """The library's own rendering of a prompt without a template."""
    return AutoTokenizer.from_pretrained(folder).encode(question.text + "\n\n")
