"""What every scorer does around the computing: token ids before it, scores back in their places after it.

Token ids come from `meds3core.encoding.trajectory`, the same as in training, by the reward model's own tokenizer: texts
are scored, so the policy that wrote them may have another one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from meds3core.config.decoding import ScorerConfig
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.errors import ConfigError, ContextOverflow, PolicyError
from meds3core.prm.base import ScoreItem, ScorerInfo, Scores
from meds3core.prm.card import RewardFolder, ScoreHead, inspect_reward_model
from meds3core.prm.tree_paths import TreePaths
from meds3core.types.tree import Tree


class FolderScorer(ABC):
    """A reward model's folder as a `meds3core.prm.base.TrajectoryScorer`, but for `_run` and `close`."""

    _encoder: TrajectoryEncoder
    """By the reward model's tokenizer; whoever loads the model sets it."""

    def __init__(self, folder: RewardFolder, config: ScorerConfig) -> None:
        self._folder = folder
        self._info = _info(folder)
        self._head = folder.score_head
        self._alone = config.batch_invariant

    @classmethod
    def load(
        cls,
        folder: Path | str,
        config: ScorerConfig,
        *,
        score_head: ScoreHead | None = None,
        base: Path | str | None = None,
    ) -> Self:
        """Inspect a reward model's folder and load it. Raises `PolicyError`, `ConfigError` and `EngineError`."""
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
            _check_fits(trajectory, self._folder, f"trajectory {number}")
            encoded.append(_whole(trajectory) if self._info.kind == "orm" else trajectory)
        return self._run(encoded)

    def score_tree(self, tree: Tree) -> list[float]:
        """One score per node, by node id."""
        return self.score_trees([tree])[0]

    def score_trees(self, trees: Sequence[Tree]) -> list[list[float]]:
        """The scores of several trees, computed together."""
        _refuse_outcome_model(self._info)
        paths = TreePaths(trees, self._encoder)
        for number, trajectory in enumerate(paths.trajectories):
            _check_fits(trajectory, self._folder, f"path {number}")
        return paths.by_node([result.values for result in self._run(paths.trajectories)])

    @abstractmethod
    def close(self) -> None:
        """Give back memory."""

    @abstractmethod
    def _run(self, trajectories: Sequence[EncodedTrajectory]) -> list[Scores]:
        """A score at each of a trajectory's ends. Raises `AppError` when the scorer is closed."""

    def _groups(self, trajectories: Sequence[EncodedTrajectory]) -> list[Sequence[EncodedTrajectory]]:
        """What may be computed together: all, or with `batch_invariant` each by itself."""
        return [[trajectory] for trajectory in trajectories] if self._alone else [trajectories]


def _info(folder: RewardFolder) -> ScorerInfo:
    """For provenance."""
    return ScorerInfo(
        kind=folder.kind,
        model=folder.name,
        model_hash=folder.hash,
        prompt_hash=folder.prompt_hash,
        context_length=folder.weights.context_length,
    )


def _whole(trajectory: EncodedTrajectory) -> EncodedTrajectory:
    """As an outcome reward model reads it: at the last token only."""
    return EncodedTrajectory(trajectory.ids, trajectory.prompt_length, trajectory.ends[-1:])


def _check_fits(trajectory: EncodedTrajectory, folder: RewardFolder, what: str) -> None:
    """Raise `ContextOverflow` when a trajectory is too long, `PolicyError` when the model has not all of its tokens."""
    length, context = len(trajectory.ids), folder.weights.context_length
    if length > context:
        raise ContextOverflow(f"{what} has {length} tokens; the reward model {folder.name} reads {context}")
    if max(trajectory.ids) >= folder.weights.vocabulary:
        raise PolicyError(
            f"{folder.tokenizer}: the tokenizer gives token {max(trajectory.ids)}, the weights know "
            f"{folder.weights.vocabulary}: they belong to different models. A reward model keeps its own tokenizer; "
            "the policy's may differ."
        )


def _refuse_outcome_model(info: ScorerInfo) -> None:
    """Raise `ConfigError` where steps are to be scored by a model of outcomes."""
    if info.kind == "orm":
        raise ConfigError(f"{info.model} is an outcome reward model: it scores whole trajectories, not their steps")
