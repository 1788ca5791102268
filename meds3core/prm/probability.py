"""From logits to scores: the one place that says which logit is read."""

import torch

from meds3core.prm.card import ScoreHead


def probability(logits: torch.Tensor, head: ScoreHead) -> torch.Tensor:
    """Scores in [0, 1] of logits [..., labels].

    Logits (0, 2): `sigmoid1` reads the second alone, 1 / (1 + e^−2) = 0.8808. Logits (1, 2): `softmax1` gives
    e² / (e¹ + e²) = 0.7311. A single logit 0 scores 0.5.
    """
    match head:
        case "sigmoid":
            return torch.sigmoid(logits[..., 0])
        case "sigmoid1":
            return torch.sigmoid(logits[..., 1])
        case "softmax1":
            return torch.softmax(logits, dim=-1)[..., 1]
