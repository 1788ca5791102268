"""Attention to ancestors only, for a forest of token sequences in one row.

The row is cut into stretches of equal width. A stretch's queries attend to the path above its first token and to the
stretch itself (see `forest`), under a mask that lets through ancestors: work grows with the length of a trajectory, not
with the size of the forest, and all stretches are one call of the library's fused attention, forwards and backwards.
The function is registered with transformers as an attention implementation; the model code is the library's own.
"""

from typing import Any, Self

import numpy as np
import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from meds3core.prm.forest import Preorder

NAME = "meds3_tree"

_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""Arguments by which some models change attention; not known here, so that such a model is refused."""


class UnsupportedAttention(Exception):
    """The model asks for a kind of attention that is not implemented here."""


class TreeLayout:
    """Which tokens of a row attend to which.

    `keys` [stretches, reach]: the row's indices that a stretch reads; `seen` [stretches, width, reach]: which of them
    each of its tokens may see.
    """

    def __init__(self, keys: torch.Tensor, seen: torch.Tensor, distance: torch.Tensor | None) -> None:
        self.keys = keys
        self.seen = seen
        self._distance = distance
        self._masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = {}

    @property
    def width(self) -> int:
        """Tokens of a stretch."""
        return int(self.seen.shape[1])

    def to(self, device: Any, **options: Any) -> Self:
        """A copy on a device; transformers and accelerate move batches so."""
        moved = None if self._distance is None else self._distance.to(device, **options)
        return type(self)(self.keys.to(device, **options), self.seen.to(device, **options), moved)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the scores, [stretches, 1, width, reach]; the same for all layers with this window."""
        key = (window, dtype)
        if key not in self._masks:
            seen = self.seen
            if window is not None:
                if self._distance is None:
                    raise UnsupportedAttention("sliding_window")
                seen = seen & (self._distance < window)
            mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)
            self._masks[key] = mask[:, None]
        return self._masks[key]


def tree_layout(row: Preorder, width: int, *, windows: bool = False) -> TreeLayout:
    """Cut a row into stretches of `width` tokens. `windows`: the model has layers that see only so far back."""
    count = len(row.tokens)
    starts = range(0, count, width)
    paths = [row.path(start) for start in starts]
    reach = max(len(path) + min(width, count - start) for path, start in zip(paths, starts, strict=True))
    keys = np.zeros((len(paths), reach), dtype=np.int64)
    valid = np.zeros((len(paths), reach), dtype=bool)
    for line, (start, path) in enumerate(zip(starts, paths, strict=True)):
        own = min(width, count - start)
        keys[line, : len(path)] = path
        keys[line, len(path) : len(path) + own] = np.arange(start, start + own)
        valid[line, : len(path) + own] = True
    # Queries behind the end of the row repeat its last token: they see something, and are thrown away.
    queries = np.minimum(np.arange(len(paths) * width), count - 1).reshape(len(paths), width, 1)
    own_keys = keys[:, None, :]
    seen = (own_keys <= queries) & (queries < row.stops[own_keys]) & valid[:, None, :]
    distance = (
        torch.from_numpy((row.positions[queries] - row.positions[own_keys]).astype(np.int32)) if windows else None
    )
    return TreeLayout(torch.from_numpy(keys), torch.from_numpy(seen), distance)


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: TreeLayout,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within a row. `query` [1, heads, tokens, size], `key` [1, key heads, tokens, size]."""
    if any(others.get(name) is not None for name in _UNSUPPORTED):
        raise UnsupportedAttention(", ".join(name for name in _UNSUPPORTED if others.get(name) is not None))
    heads, count, size = query.shape[1:]
    key_heads = key.shape[1]
    shared = heads // key_heads
    stretches, reach = layout.keys.shape
    width = layout.width
    # Query heads that share a key-value head stand in the place of further queries: keys are gathered once, unrepeated.
    rows = pad(query[0].transpose(0, 1), (0, 0, 0, 0, 0, stretches * width - count))
    queries = rows.view(stretches, width, key_heads, shared, size).permute(0, 2, 3, 1, 4)
    queries = queries.reshape(stretches, key_heads, shared * width, size)
    wanted = layout.keys.flatten()
    keys, values = (
        part[0].transpose(0, 1).index_select(0, wanted).view(stretches, reach, key_heads, size).transpose(1, 2)
        for part in (key, value)
    )
    mask = layout.mask(sliding_window, query.dtype)
    if shared > 1:
        mask = mask.repeat(1, 1, shared, 1)
    out = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=dropout, scale=scaling)
    out = out.view(stretches, key_heads, shared, width, size).permute(0, 3, 1, 2, 4)
    return out.reshape(stretches * width, heads, size)[None, :count], None


AttentionInterface.register(NAME, tree_attention)
