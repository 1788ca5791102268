"""One forward pass over many trajectories: flat (one row each, padded) or as a forest (shared beginnings once).

Both give the same logits; the forest computes each shared token once and pads nothing. It is used wherever the
model's attention can be restricted to ancestors, which is tried out on every model that is loaded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedModel

from meds3core.encoding.trajectory import EncodedTrajectory
from meds3core.prm.forest import TokenForest
from meds3core.prm.model import backbone, head
from meds3core.prm.tree_attention import NAME, TreeLayout, UnsupportedAttention, tree_layout

_FLAT = "sdpa"
_WIDTHS = (128, 1024)


@dataclass(frozen=True, slots=True)
class PassResult:
    """Of one trajectory. `logits` [steps, labels], at least float32; `tokens`: computed that no earlier one had."""

    logits: torch.Tensor
    tokens: int


class Pass(Protocol):
    """A way to compute the logits at the ends of steps."""

    def run(self, trajectories: Sequence[EncodedTrajectory]) -> list[PassResult]:
        """One result per trajectory, in order."""


@dataclass(frozen=True, slots=True)
class ForestBatch:
    """A forest ready for the model: `ids`, `positions` [1, tokens]; `ends[i]`: where in the row steps of i end."""

    ids: torch.Tensor
    positions: torch.Tensor
    layout: TreeLayout
    ends: list[torch.Tensor]
    new_tokens: list[int]
    """Per trajectory: how many of its tokens no earlier one had."""


class TreePass:
    """Shared beginnings once, in one row. Raises `UnsupportedAttention` where the model does not allow it."""

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        reason = why_no_forest(model)
        if reason:
            raise UnsupportedAttention(reason)
        model.set_attn_implementation(NAME)
        self.model = model
        self.batch_tokens = batch_tokens
        self._windows = has_windows(model)

    def run(self, trajectories: Sequence[EncodedTrajectory]) -> list[PassResult]:
        """One result per trajectory, in order."""
        results: dict[int, PassResult] = {}
        for chosen in self._batches(trajectories):
            batch = forest_batch([trajectories[index] for index in chosen], windows=self._windows)
            device = self.model.device
            with torch.inference_mode():
                hidden = backbone(self.model)(
                    input_ids=batch.ids.to(device),
                    position_ids=batch.positions.to(device),
                    use_cache=False,
                    layout=batch.layout.to(device),
                ).last_hidden_state[0]
                logits = _head_at(self.model, hidden, torch.cat(batch.ends))
            pieces = torch.split(logits, [len(ends) for ends in batch.ends])
            for index, piece, tokens in zip(chosen, pieces, batch.new_tokens, strict=True):
                results[index] = PassResult(piece, tokens)
        return [results[index] for index in range(len(trajectories))]

    def _batches(self, trajectories: Sequence[EncodedTrajectory]) -> Iterator[list[int]]:
        """Runs of trajectories whose forest has at most `batch_tokens`; neighbours share the longest beginnings."""
        order = sorted(range(len(trajectories)), key=lambda index: trajectories[index].ids)
        chosen: list[int] = []
        size = 0
        for index in order:
            ids = trajectories[index].ids
            # In this order a trajectory shares nothing with earlier ones that it does not share with the last one.
            new = len(ids) - (_shared(trajectories[chosen[-1]].ids, ids) if chosen else 0)
            if chosen and size + new > self.batch_tokens:
                yield chosen
                chosen, size, new = [], 0, len(ids)
            chosen.append(index)
            size += new
        if chosen:
            yield chosen


class FlatPass:
    """One row per trajectory, padded on the right: under causal attention nothing ever looks at the padding."""

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        model.set_attn_implementation(_FLAT)
        self.model = model
        self.batch_tokens = batch_tokens
        # Rotary frequencies that follow the longest row would make a score depend on its company.
        self._alone = grows_frequencies(model)

    def run(self, trajectories: Sequence[EncodedTrajectory]) -> list[PassResult]:
        """One result per trajectory, in order."""
        results: dict[int, PassResult] = {}
        for chosen in self._batches(trajectories):
            rows = [trajectories[index] for index in chosen]
            ids = padded([row.ids for row in rows]).to(self.model.device)
            with torch.inference_mode():
                hidden = backbone(self.model)(input_ids=ids, use_cache=False).last_hidden_state
                width = hidden.shape[1]
                ends = torch.tensor([line * width + end for line, row in enumerate(rows) for end in row.ends])
                logits = _head_at(self.model, hidden.flatten(0, 1), ends)
            pieces = torch.split(logits, [len(row.ends) for row in rows])
            for index, piece in zip(chosen, pieces, strict=True):
                results[index] = PassResult(piece, len(trajectories[index].ids))
        return [results[index] for index in range(len(trajectories))]

    def _batches(self, trajectories: Sequence[EncodedTrajectory]) -> Iterator[list[int]]:
        """Runs of similar length, the longest first, so that memory runs out at once or never."""
        order = sorted(range(len(trajectories)), key=lambda index: -len(trajectories[index].ids))
        start = 0
        while start < len(order):
            longest = len(trajectories[order[start]].ids)
            rows = 1 if self._alone else max(1, self.batch_tokens // longest)
            yield order[start : start + rows]
            start += rows


def forest_batch(trajectories: Sequence[EncodedTrajectory], *, windows: bool = False) -> ForestBatch:
    """The forest of these trajectories, ready for the model."""
    forest = TokenForest()
    numbers, new_tokens = [], []
    for trajectory in trajectories:
        before = len(forest)
        last, start, ends = -1, 0, []
        for end in trajectory.ends:
            last = forest.add(trajectory.ids[start : end + 1], last)
            start = end + 1
            ends.append(last)
        numbers.append(ends)
        new_tokens.append(len(forest) - before)
    row = forest.preorder()
    longest = int(row.positions.max()) + 1
    # Long paths are read once per stretch: wider stretches read them less often.
    width = min(max(longest // 4, _WIDTHS[0]), _WIDTHS[1])
    return ForestBatch(
        ids=torch.from_numpy(row.tokens)[None],
        positions=torch.from_numpy(row.positions)[None],
        layout=tree_layout(row, width, windows=windows),
        ends=[torch.from_numpy(row.places[ends]) for ends in numbers],
        new_tokens=new_tokens,
    )


def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Rows of ids side by side, filled up with 0 on the right: [rows, longest]."""
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for line, row in enumerate(rows):
        ids[line, : len(row)] = torch.tensor(row)
    return ids


def has_windows(model: PreTrainedModel) -> bool:
    """Whether a layer may see only so far back."""
    return getattr(model.config.get_text_config(), "sliding_window", None) is not None


def grows_frequencies(model: PreTrainedModel) -> bool:
    """Whether rotary frequencies change with the longest sequence of a batch."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None)
    return isinstance(rope, dict) and rope.get("rope_type") in ("dynamic", "longrope")


def why_no_forest(model: PreTrainedModel) -> str | None:
    """Why this model cannot compute a forest in one pass; None: it can. Tries one out against the library's attention.

    Refused are models whose tokens see others by anything but rotary positions and masked attention: recurrent or
    linear layers, absolute positions counted along the row, soft caps, sinks, chunks, growing rotary frequencies.
    """
    if grows_frequencies(model):
        return "its rotary frequencies depend on the other sequences of a batch"
    vocabulary = int(model.config.get_text_config().vocab_size)
    generator = torch.Generator().manual_seed(0)
    start, left, right = (tuple(torch.randint(0, vocabulary, (n,), generator=generator).tolist()) for n in (5, 4, 6))
    samples = [EncodedTrajectory(start + end, len(start), (len(start + end) - 1,)) for end in (left, right)]
    before = model.config._attn_implementation
    try:
        with torch.inference_mode():
            model.set_attn_implementation(_FLAT)
            stock = [
                backbone(model)(input_ids=torch.tensor([s.ids], device=model.device), use_cache=False).last_hidden_state
                for s in samples
            ]
            model.set_attn_implementation(NAME)
            batch = forest_batch(samples, windows=has_windows(model))
            shared = backbone(model)(
                input_ids=batch.ids.to(model.device),
                position_ids=batch.positions.to(model.device),
                use_cache=False,
                layout=batch.layout.to(model.device),
            ).last_hidden_state[0]
    except (UnsupportedAttention, ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        model.set_attn_implementation(before or _FLAT)
    expected = torch.stack([row[0, -1] for row in stock]).float()
    found = shared[torch.cat(batch.ends)].float()
    tolerance = 1e-3 if shared.dtype in (torch.float32, torch.float64) else 0.1
    scale = float(expected.abs().max()) or 1.0
    if not float((expected - found).abs().max()) <= tolerance * scale:
        return "its hidden states differ from the library's own"
    return None


def _head_at(model: PreTrainedModel, hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Logits [places, labels] of hidden states [tokens, size], on the CPU, at least in float32."""
    logits: torch.Tensor = head(model)(hidden[places.to(hidden.device)])
    return logits.to("cpu", torch.promote_types(logits.dtype, torch.float32))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
