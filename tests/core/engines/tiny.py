"""Tiny random policies, written to a folder in a moment: real classes, byte-level tokenizer, no training."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CONTEXT = 256
WORDS = ("Step", " Step", " dose", " mg", " answer", " is", " The", "\n\n", "ing", " 12", "é")
END = "<|end|>"


def write_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer with a few whole words; returns the number of its tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|pad|>": 0, END: 1} | {letter: number + 2 for number, letter in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in WORDS:
        letters = byte_level.pre_tokenize_str(word)[0][0]
        for end in range(2, len(letters) + 1):
            if letters[:end] not in vocabulary:
                vocabulary[letters[:end]] = len(vocabulary)
                merges.append((letters[: end - 1], letters[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token="<|pad|>")
    fast.save_pretrained(folder)
    return len(fast)


def write_policy(folder: Path, kind: str = "qwen2", *, seed: int = 0, spread: float = 0.4) -> Path:
    """A policy with random weights: `qwen2` (grouped heads), `llama` (as many as query heads), `mistral` (window 24).

    `spread` is the deviation of the output weights: the larger, the more peaked the distributions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {
        "vocab_size": write_tokenizer(folder),
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4 if kind == "llama" else 2,
        "head_dim": 16,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    torch.manual_seed(seed)
    model: torch.nn.Module
    if kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**sizes))
    elif kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    else:
        model = MistralForCausalLM(MistralConfig(**sizes, sliding_window=24))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0.0, spread if "lm_head" in name else 0.2)
        # Bytes of other scripts are made rare, so that the texts can be read.
        letters = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens(range(sizes["vocab_size"]))
        rare = [
            token for token, text in enumerate(letters) if len(text) == 1 and not text.isascii() and text not in "ĠĊ"
        ]
        model.get_output_embeddings().weight[rare] = 0.0  # type: ignore[operator]
    model.save_pretrained(folder)  # type: ignore[operator]
    return folder
