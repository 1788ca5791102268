"""Scores of trajectories and trees by a reward model of the transformers library.

One forward pass per batch of trajectories, for all their steps at once: the score of step i is read at its last token.
Token ids come from `meds3core.encoding.trajectory`, the same as in training, by the reward model's own tokenizer: texts
are scored, so the policy that wrote them may have another one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from transformers import PreTrainedModel

from meds3core.config.decoding import ScorerConfig
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.errors import AppError
from meds3core.prm.base import ScoreItem, ScorerInfo, Scores
from meds3core.prm.card import RewardFolder, ScoreHead, inspect_reward_model
from meds3core.prm.model import load_reward_model, unload
from meds3core.prm.passes import FlatPass, Pass, TreePass, why_no_forest
from meds3core.prm.probability import probability
from meds3core.prm.reading import check_fits, refuse_outcome_model, scorer_info, whole
from meds3core.prm.tree_paths import TreePaths
from meds3core.types.tree import Tree


class TransformersScorer:
    """See `meds3core.prm.base.TrajectoryScorer`. Blocking; one thread at a time.

    `layout` "flat" computes every trajectory by itself even where beginnings could be shared (to compare with).
    """

    def __init__(self, folder: RewardFolder, config: ScorerConfig, *, layout: Literal["auto", "flat"] = "auto") -> None:
        model, tokenizer = load_reward_model(folder, device=config.device, dtype=config.dtype)
        self._folder = folder
        self._info = scorer_info(folder)
        self._head = folder.score_head
        self._alone = config.batch_invariant
        self._encoder = TrajectoryEncoder(tokenizer)
        self._model: PreTrainedModel | None = model
        self.flat_reason: str | None = "asked for" if layout == "flat" else why_no_forest(model)
        """Why trajectories are computed one by one; None: shared beginnings are computed once."""
        self._pass: Pass = (FlatPass if self.flat_reason else TreePass)(model, config.batch_tokens)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        config: ScorerConfig,
        *,
        score_head: ScoreHead | None = None,
        base: Path | str | None = None,
    ) -> Self:
        """Inspect a reward model's folder and load it. Raises `PolicyError` and `ConfigError`."""
        return cls(inspect_reward_model(folder, score_head=score_head, base=base), config)

    @property
    def info(self) -> ScorerInfo:
        """What this reward model is."""
        return self._info

    def score(self, items: Sequence[ScoreItem]) -> list[Scores]:
        """One result per item, in order: of a PRM a score per step, of an ORM one."""
        encoded = []
        for number, item in enumerate(items):
            trajectory = self._encoder.steps(item.question, item.bodies)
            check_fits(trajectory, self._folder, f"trajectory {number}")
            encoded.append(whole(trajectory) if self._info.kind == "orm" else trajectory)
        return self._run(encoded)

    def score_tree(self, tree: Tree) -> list[float]:
        """One score per node, by node id."""
        return self.score_trees([tree])[0]

    def score_trees(self, trees: Sequence[Tree]) -> list[list[float]]:
        """The scores of several trees, computed together."""
        refuse_outcome_model(self._info)
        paths = TreePaths(trees, self._encoder)
        for number, trajectory in enumerate(paths.trajectories):
            check_fits(trajectory, self._folder, f"path {number}")
        return paths.by_node([result.values for result in self._run(paths.trajectories)])

    def close(self) -> None:
        """Give back memory."""
        if self._model is not None:
            model, self._model = self._model, None
            del self._pass
            unload(model)

    def _run(self, trajectories: Sequence[EncodedTrajectory]) -> list[Scores]:
        if self._model is None:
            raise AppError("this scorer is closed")
        groups = [[trajectory] for trajectory in trajectories] if self._alone else [trajectories]
        return [
            Scores(tuple(probability(result.logits, self._head).tolist()), result.tokens)
            for group in groups
            for result in self._pass.run(group)
        ]
