"""Scores of trajectories and trees by a reward model of the transformers library.

One forward pass per batch of trajectories, for all their steps at once: the score of step i is read at its last token.
"""

from collections.abc import Sequence
from typing import Literal

from transformers import PreTrainedModel

from meds3core.config.decoding import ScorerConfig
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.errors import AppError
from meds3core.prm.base import Scores
from meds3core.prm.card import RewardFolder
from meds3core.prm.model import load_reward_model, unload
from meds3core.prm.passes import FlatPass, Pass, TreePass, why_no_forest
from meds3core.prm.probability import probability
from meds3core.prm.reading import FolderScorer


class TransformersScorer(FolderScorer):
    """See `meds3core.prm.base.TrajectoryScorer`. Blocking; one thread at a time.

    `layout` "flat" computes every trajectory by itself even where beginnings could be shared (to compare with).
    """

    def __init__(self, folder: RewardFolder, config: ScorerConfig, *, layout: Literal["auto", "flat"] = "auto") -> None:
        super().__init__(folder, config)
        model, tokenizer = load_reward_model(folder, device=config.device, dtype=config.dtype)
        self._encoder = TrajectoryEncoder(tokenizer)
        self._model: PreTrainedModel | None = model
        self.flat_reason: str | None = "asked for" if layout == "flat" else why_no_forest(model)
        """Why trajectories are computed one by one; None: shared beginnings are computed once."""
        self._pass: Pass = (FlatPass if self.flat_reason else TreePass)(model, config.batch_tokens)

    def close(self) -> None:
        """Give back memory."""
        if self._model is not None:
            model, self._model = self._model, None
            del self._pass
            unload(model)

    def _run(self, trajectories: Sequence[EncodedTrajectory]) -> list[Scores]:
        if self._model is None:
            raise AppError("this scorer is closed")
        return [
            Scores(tuple(probability(result.logits, self._head).tolist()), result.tokens)
            for group in self._groups(trajectories)
            for result in self._pass.run(group)
        ]
