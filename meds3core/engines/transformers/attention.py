"""Attention for a packed step: decoding rows and stretches of prompts side by side in one forward pass.

A step is one row of tokens `[1, tokens]`: first the decoding rows, one token each, shelf by shelf, then the prompt
stretches. Nothing is padded, so no padding can leak into a result; each part attends to its own keys only. The function
is registered with transformers as an attention implementation; the model code is the library's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from meds3core.engines.transformers.slots import Shelf

NAME = "meds3_packed"

_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""Arguments by which some models change attention; not known here, so that such a model is refused."""


class UnsupportedAttention(Exception):
    """The model asks for a kind of attention that is not implemented here."""


@dataclass(slots=True)
class Rows:
    """Decoding rows of one shelf: tokens `start` to `start + n − 1` of the step."""

    shelf: Shelf
    start: int
    positions: torch.Tensor
    """Where each row's new token stands, [n] int64; its keys are those at and before it."""
    reach: int
    """Keys to read: the largest position plus one, rounded up to a convenient size."""
    slots: torch.Tensor
    """Their slots, [n] int64."""
    everyone: bool
    """Whether these are slots 0 to n−1, which are read in place; others are gathered first."""
    _masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the scores, [n, 1, 1, reach]; the same for all layers with this window."""
        if window not in self._masks:
            keys = torch.arange(self.reach, device=self.positions.device)
            seen = keys <= self.positions[:, None]
            if window is not None:
                seen &= keys > self.positions[:, None] - window
            added = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)
            self._masks[window] = added[:, None, None]
        return self._masks[window]


@dataclass(slots=True)
class Stretch:
    """A stretch of one prompt: tokens `start` to `stop − 1` of the step, standing at `past` in their sequence."""

    block: torch.Tensor
    """Memory of the sequence, [layers, 2, heads, tokens, head size]; the first `past` tokens are computed."""
    start: int
    stop: int
    past: int


@dataclass(slots=True)
class Step:
    """How the tokens of one forward pass belong together."""

    rows: Sequence[Rows]
    stretches: Sequence[Stretch]


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    step: Step,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Store keys and values, attend. `query` [1, heads, tokens, size]; returns [1, tokens, heads, size]."""
    if any(others.get(name) is not None for name in _UNSUPPORTED):
        raise UnsupportedAttention(", ".join(name for name in _UNSUPPORTED if others.get(name) is not None))
    layer = module.layer_idx
    assert isinstance(layer, int)
    heads, _, size = query.shape[1:]
    parts = []
    for rows in step.rows:
        here = slice(rows.start, rows.start + len(rows.positions))
        keys, values = rows.shelf.memory[layer, 0], rows.shelf.memory[layer, 1]
        slots, places, count = rows.slots, rows.positions, len(rows.positions)
        keys[slots, :, places] = key[0, :, here].transpose(0, 1)
        values[slots, :, places] = value[0, :, here].transpose(0, 1)
        # Query heads that share a key-value head stand in the place of query positions: keys are read once, unrepeated.
        shared = query[0, :, here].transpose(0, 1).reshape(count, keys.shape[1], -1, size)
        mask = rows.mask(sliding_window, query.dtype)
        chosen = slice(0, count) if rows.everyone else slots
        keys, values = keys[chosen, :, : rows.reach], values[chosen, :, : rows.reach]
        out = scaled_dot_product_attention(shared, keys, values, attn_mask=mask, scale=scaling)
        parts.append(out.reshape(count, heads, size))
    for stretch in step.stretches:
        parts.append(_attend_stretch(stretch, layer, query, key, value, scaling, sliding_window))
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[None], None


def _attend_stretch(
    stretch: Stretch,
    layer: int,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Output [tokens of the stretch, heads, size]."""
    here = slice(stretch.start, stretch.stop)
    count, end = stretch.stop - stretch.start, stretch.past + stretch.stop - stretch.start
    keys, values = stretch.block[layer, 0], stretch.block[layer, 1]
    keys[:, stretch.past : end] = key[0, :, here]
    values[:, stretch.past : end] = value[0, :, here]
    mask = None
    if stretch.past or (window is not None and window < end):
        own = torch.arange(stretch.past, end, device=query.device)[:, None]
        other = torch.arange(end, device=query.device)
        mask = other <= own
        if window is not None:
            mask &= other > own - window
    repeats = query.shape[1] // key.shape[1]
    seen_keys, seen_values = keys[None, :, :end], values[None, :, :end]
    if repeats > 1:
        seen_keys = seen_keys.repeat_interleave(repeats, dim=1)
        seen_values = seen_values.repeat_interleave(repeats, dim=1)
    out = scaled_dot_product_attention(
        query[:, :, here],
        seen_keys,
        seen_values,
        attn_mask=mask,
        is_causal=mask is None and count > 1,
        scale=scaling,
    )
    return out[0].transpose(0, 1)


def reach(positions: np.ndarray[Any, np.dtype[np.int64]], capacity: int) -> int:
    """Keys to read for rows at these positions: a multiple of 16 as far as the shelf has room."""
    return min((int(positions.max()) + 16) // 16 * 16, capacity)


AttentionInterface.register(NAME, packed_attention)
