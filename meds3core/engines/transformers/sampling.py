"""Drawing tokens for many requests at once, each by its own random numbers.

The random number of a token is a function of the request's seed and the token's index alone, so a request draws the
same whatever stands beside it and whenever it is scheduled. The draw is by inverse distribution function in order of
the vocabulary, which does not depend on how ties of probability are sorted.
"""

import numpy as np
import torch
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_CANDIDATES = 64
"""Tokens looked at first when top-p cuts the distribution; rows where they do not suffice are sorted in full."""

INVALID = -1
"""Drawn where the model gave no probabilities (NaN or infinite logits)."""


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def uniforms(seeds: NDArray[np.uint64], indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each (seed, token index): splitmix64 (Steele, Lea, Flood 2014) started at the seed."""
    with np.errstate(over="ignore"):
        state = _mix(seeds + _GOLDEN) + (indices.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        return (_mix(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw(
    logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, u: torch.Tensor, *, any_cut: bool
) -> torch.Tensor:
    """One token id a row, `INVALID` where the logits are no numbers.

    `logits` [rows, vocabulary] in any float type; `temperature` float32 [rows], 0 for greedy; `top_p` float32 [rows];
    `u` float64 [rows]. `any_cut` says whether any `top_p` is below 1.
    """
    logits = logits.float()
    greedy = temperature <= 0
    # Greedy rows go through the same arithmetic at temperature 1; their draw is thrown away.
    p = torch.softmax(logits / torch.where(greedy, 1.0, temperature)[:, None], dim=-1)
    drawn = _draw_cut(p, top_p, u) if any_cut else _pick(p, u)
    drawn = torch.where(greedy, logits.argmax(dim=-1), drawn)
    return torch.where(torch.isfinite(p[:, 0]), drawn, INVALID)


def _draw_cut(p: torch.Tensor, top_p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Draw from the smallest set of most probable tokens that holds `top_p` of the mass (ties at its edge included)."""
    width = min(_CANDIDATES, p.shape[1])
    values, ids = torch.topk(p, width, dim=-1)  # [rows, width], descending
    least = _edge(values, top_p)
    ids, order = torch.sort(torch.where(values >= least, ids, p.shape[1]), dim=-1)
    weights = torch.where(ids < p.shape[1], values.gather(1, order), 0.0)
    drawn = ids.gather(1, _pick(weights, u)[:, None])[:, 0]
    if width == p.shape[1]:
        return drawn
    # The candidates suffice where even the last of them lies beyond the edge.
    short = torch.nonzero((values[:, -1:] >= least)[:, 0])[:, 0]
    if short.numel():
        rest = p[short]
        least = _edge(torch.sort(rest, dim=-1, descending=True).values, top_p[short])
        drawn[short] = _pick(torch.where(rest >= least, rest, 0.0), u[short])
    return drawn


def _edge(descending: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """The least probability that is kept, [rows, 1]: of tokens before which less than `top_p` has gathered."""
    before = torch.cumsum(descending, dim=-1, dtype=torch.float64) - descending
    kept = ((before < top_p[:, None]) | (top_p[:, None] >= 1)).sum(dim=-1, keepdim=True)
    return descending.gather(1, (kept - 1).clamp_min(0))


def _pick(weights: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Index drawn in proportion to `weights` [rows, n] by `u`, in the order in which they stand."""
    cumulative = torch.cumsum(weights, dim=-1, dtype=torch.float64)
    total = cumulative[:, -1]
    # Below the total even when rounded up, so that an index with weight is found.
    target = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cumulative <= target[:, None]).sum(dim=-1).clamp_max(weights.shape[1] - 1)
