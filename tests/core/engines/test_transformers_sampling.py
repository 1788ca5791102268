"""Random numbers of requests, and draws by them."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from meds3core.engines.transformers.sampling import INVALID, draw, uniforms

MANY = 40_000


def draws(logits: torch.Tensor, *, temperature: float = 1.0, top_p: float = 1.0, count: int = MANY) -> torch.Tensor:
    u = uniforms(np.arange(count, dtype=np.uint64), np.zeros(count, dtype=np.int64))
    rows = (count, len(logits))
    return draw(
        logits.expand(rows),
        torch.full((count,), temperature),
        torch.full((count,), top_p),
        torch.from_numpy(u),
        any_cut=top_p < 1,
    )


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def test_uniforms_are_uniform_over_seeds_and_over_indices() -> None:
    seeds = np.arange(MANY, dtype=np.uint64)
    fixed = np.zeros(MANY, dtype=np.uint64) + np.uint64(7)
    for u in (uniforms(seeds, np.zeros(MANY, dtype=np.int64)), uniforms(fixed, np.arange(MANY))):
        counts = torch.from_numpy(np.histogram(u, bins=20, range=(0, 1))[0])
        assert chi_square(counts, torch.full((20,), MANY / 20)) < 45  # 19 degrees of freedom: p < 0.001
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.02


def test_draws_follow_the_softmax_at_the_temperature() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, -3.0])
    for temperature in (0.6, 1.0, 1.7):
        counts = torch.bincount(draws(logits, temperature=temperature), minlength=6)
        assert chi_square(counts, torch.softmax(logits / temperature, -1) * MANY) < 21  # 5 degrees: p < 0.001


def test_top_p_keeps_the_smallest_set_and_renormalises() -> None:
    p = torch.tensor([0.05, 0.3, 0.02, 0.4, 0.13, 0.1])
    counts = torch.bincount(draws(p.log(), top_p=0.8), minlength=6)
    expected = torch.tensor([0, 0.3, 0, 0.4, 0.13, 0]) / 0.83 * MANY
    assert counts[expected == 0].sum() == 0
    assert chi_square(counts[expected > 0], expected[expected > 0]) < 14


def test_top_p_reaches_beyond_the_first_candidates() -> None:
    flat = torch.linspace(0, 0.1, 500)
    tokens = draws(flat, top_p=0.9, count=4000)
    kept = torch.unique(tokens)
    assert 400 < len(kept) < 470
    assert int(kept.min()) > 25


def test_both_ways_of_cutting_agree() -> None:
    generator = torch.Generator().manual_seed(3)
    for spread in (0.5, 3.0, 8.0):
        logits = torch.randn(300, 64, generator=generator) * spread
        wide = torch.cat([logits, torch.full((300, 400), -60.0)], dim=1)
        u = torch.from_numpy(uniforms(np.arange(300, dtype=np.uint64), np.arange(300)))
        t, p = torch.ones(300), torch.full((300,), 0.95)
        assert torch.equal(draw(logits, t, p, u, any_cut=True), draw(wide, t, p, u, any_cut=True))


def test_rows_of_different_kinds_stand_side_by_side() -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(60, 200, generator=generator) * 2
    t = torch.tensor([0.0, 0.7, 1.0]).repeat(20)
    p = torch.tensor([1.0, 0.9, 0.5, 1.0]).repeat(15)
    u = torch.from_numpy(uniforms(np.arange(60, dtype=np.uint64), np.arange(60)))
    together = draw(logits, t, p, u, any_cut=True)
    for row in range(60):
        one = slice(row, row + 1)
        assert draw(logits[one], t[one], p[one], u[one], any_cut=bool(p[row] < 1))[0] == together[row]
    assert torch.equal(together[t == 0], logits[t == 0].argmax(-1))


def test_rows_without_numbers_are_marked_and_hurt_nobody() -> None:
    logits = torch.zeros(3, 10)
    logits[1] = torch.nan
    logits[1, 0] = 1.0
    for any_cut in (False, True):
        drawn = draw(logits, torch.ones(3), torch.ones(3) * 0.9, torch.full((3,), 0.5), any_cut=any_cut)
        assert (drawn == INVALID).tolist() == [False, True, False]


@given(st.integers(0, 2**32), st.floats(0.01, 1.0), st.floats(0.05, 5), st.sampled_from([0.0, 0.5, 1 - 2**-53]))
def test_a_draw_always_has_weight(seed: int, top_p: float, spread: float, u: float) -> None:
    logits = torch.randn(1, 90, generator=torch.Generator().manual_seed(seed)) * spread
    logits[0, :5] = logits[0, -5:] = -torch.inf
    args = torch.ones(1), torch.tensor([top_p]), torch.tensor([u], dtype=torch.float64)
    token = int(draw(logits, *args, any_cut=top_p < 1)[0])
    assert 5 <= token < 85
