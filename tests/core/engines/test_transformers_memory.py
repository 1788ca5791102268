"""Key-value memory: rows on shelves, and computed prompts kept for those that begin alike."""

from random import Random

import numpy as np
import torch

from meds3core.engines.transformers.prefixes import PrefixCache
from meds3core.engines.transformers.slots import CacheShape, Slots

SHAPE = CacheShape(layers=2, heads=1, head_size=4, dtype=torch.float32, device=torch.device("cpu"))
CONTEXT = 400


def test_rows_keep_their_contents_through_growth_moves_and_departures() -> None:
    random, slots = Random(1), Slots(SHAPE, CONTEXT, max_bytes=1 << 20)
    lengths = np.zeros(64, dtype=np.int64)
    expected: dict[int, torch.Tensor] = {}

    def stored(row: int) -> torch.Tensor:
        shelf = next(shelf for shelf in slots.shelves if row in shelf.rows)
        return shelf.block(row, int(lengths[row]))

    for _ in range(600):
        free = [row for row in range(64) if row not in expected]
        if expected and (random.random() < 0.35 or len(free) < 8):
            row = random.choice(list(expected))
            slots.remove(row, lengths, poisoned=random.random() < 0.2)
            del expected[row]
        elif random.random() < 0.4:
            rows = random.sample(free, random.randint(1, 6))
            block = torch.randn(2, 2, 1, random.randint(1, 200), 4)
            lengths[rows] = block.shape[3]
            slots.add(rows, block, random.randint(1, 60))
            expected |= {row: block.clone() for row in rows}
        elif expected:
            row = random.choice(list(expected))
            for _ in range(random.randint(1, 60)):
                if lengths[row] < CONTEXT:
                    slots.make_room(row, lengths)
                    token = torch.randn(2, 2, 1, 1, 4)
                    shelf = next(shelf for shelf in slots.shelves if row in shelf.rows)
                    shelf.memory[:, :, shelf.rows.index(row), :, int(lengths[row])] = token[:, :, :, 0]
                    lengths[row] += 1
                    expected[row] = torch.cat([expected[row], token], dim=3)
        assert sorted(row for shelf in slots.shelves for row in shelf.rows) == sorted(expected)
        for row, content in expected.items():
            assert row in slots
            assert torch.equal(stored(row), content)


def test_a_poisoned_slot_is_wiped() -> None:
    slots = Slots(SHAPE, CONTEXT, max_bytes=1 << 20)
    lengths = np.full(2, 20, dtype=np.int64)
    slots.add([0], torch.full((2, 2, 1, 20, 4), torch.nan), 10)
    slots.remove(0, lengths, poisoned=True)
    assert all(torch.isfinite(shelf.memory).all() for shelf in slots.shelves)


def test_empty_shelves_give_their_memory_back_when_it_is_short() -> None:
    slots = Slots(SHAPE, CONTEXT, max_bytes=20_000)
    lengths = np.full(2, 20, dtype=np.int64)
    for tokens in (20, 200, 390):
        lengths[:] = tokens
        slots.add([0], torch.zeros(2, 2, 1, tokens, 4), 1)
        slots.remove(0, lengths)
    assert sum(shelf.memory.nbytes > 0 for shelf in slots.shelves) == 1


def prompt(*parts: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Each part is sixteen tokens."""
    return np.repeat(np.array(parts, dtype=np.int64), 16)


def block(ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> torch.Tensor:
    return torch.from_numpy(ids).float().expand(1, 1, 1, 1, len(ids)).transpose(3, 4).contiguous()


def test_the_longest_common_beginning_is_found() -> None:
    cache = PrefixCache(1 << 20)
    for ids in (prompt(1, 2), prompt(1, 2, 3), prompt(4)):
        cache.add(ids, block(ids))
    for ids, length in ((prompt(1, 2, 3, 5), 48), (prompt(1, 2, 9), 32), (prompt(1, 9), 16), (prompt(4, 1), 16)):
        found = cache.find(ids)
        assert found is not None
        assert found[0] == length
        assert torch.equal(found[1][0, 0, 0, :length, 0], torch.from_numpy(ids[:length]).float())
    assert cache.find(prompt(9, 1, 2)) is None
    # At least one token is left to compute.
    exact = cache.find(prompt(1, 2, 3))
    assert exact is not None
    assert exact[0] == 32


def test_the_least_recently_used_prompts_give_way() -> None:
    cache = PrefixCache(3 * 16 * 4)
    for number in (1, 2, 3):
        cache.add(prompt(number), block(prompt(number)))
    assert cache.find(prompt(1, 9)) is not None
    cache.add(prompt(4), block(prompt(4)))
    assert cache.find(prompt(2, 9)) is None
    assert all(cache.find(prompt(number, 9)) is not None for number in (1, 3, 4))
    cache.add(prompt(5, 6, 7, 8), block(prompt(5, 6, 7, 8)))
    assert cache.find(prompt(5, 6, 7, 8, 9)) is None
    assert cache.find(prompt(4, 9)) is not None
