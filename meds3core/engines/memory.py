"""How much memory a model takes, about, from what its folder says: before anything is loaded. Imports no torch.

Weights and the bytes of a token in the key-value cache are exact. What a forward pass computes with is a rule of thumb.
"""

from meds3core.config.engine import Dtype
from meds3core.engines.policy import ModelSize

STEP_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Prompt tokens that the transformers engine computes in one step at most; vLLM's are about as many."""

_LARGE = 1_000_000_000
"""Parameters from which on a model stays in its stored precision on a CPU."""
_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def loaded_dtype(name: Dtype, parameters: int, stored: str, *, cuda: bool) -> str:
    """`auto` is bfloat16 on a GPU; on a CPU float32, but for large models their stored precision."""
    if name != "auto":
        return name
    return "bfloat16" if cuda or (parameters >= _LARGE and stored == "bfloat16") else "float32"


def weight_bytes(size: ModelSize, dtype: str) -> int:
    """All parameters in the precision in which they are loaded."""
    return size.parameters * _ITEM_BYTES[dtype]


def token_bytes(size: ModelSize, dtype: str) -> int:
    """Keys and values of one token in all layers."""
    return size.layers * 2 * size.key_value_heads * size.head_size * _ITEM_BYTES[dtype]


def working_bytes(size: ModelSize, dtype: str, *, tokens: int, rows: int = 0) -> int:
    """Of a forward pass over so many tokens, with logits of so many rows: a layer's hidden states, queries, keys,
    values and the inner ones of its feed-forward part; logits in float32, which drawing sorts and copies.
    """
    of_token = (6 * size.hidden_size + 3 * size.inner_size) * _ITEM_BYTES[dtype]
    return tokens * of_token + rows * size.vocabulary * 4 * 4
