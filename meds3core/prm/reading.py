"""What every scorer does to a trajectory before it is computed, whatever computes it."""

from meds3core.encoding.trajectory import EncodedTrajectory
from meds3core.errors import ConfigError, ContextOverflow
from meds3core.prm.base import ScorerInfo
from meds3core.prm.card import RewardFolder


def scorer_info(folder: RewardFolder) -> ScorerInfo:
    """For provenance."""
    return ScorerInfo(
        kind=folder.kind,
        model=folder.name,
        model_hash=folder.hash,
        prompt_hash=folder.prompt_hash,
        context_length=folder.weights.context_length,
    )


def whole(trajectory: EncodedTrajectory) -> EncodedTrajectory:
    """As an outcome reward model reads it: at the last token only."""
    return EncodedTrajectory(trajectory.ids, trajectory.prompt_length, trajectory.ends[-1:])


def check_length(trajectory: EncodedTrajectory, info: ScorerInfo, what: str) -> None:
    """Raise `ContextOverflow` when a trajectory does not fit the model."""
    if len(trajectory.ids) > info.context_length:
        raise ContextOverflow(
            f"{what} has {len(trajectory.ids)} tokens; the reward model {info.model} reads {info.context_length}"
        )


def refuse_outcome_model(info: ScorerInfo) -> None:
    """Raise `ConfigError` where steps are to be scored by a model of outcomes."""
    if info.kind == "orm":
        raise ConfigError(f"{info.model} is an outcome reward model: it scores whole trajectories, not their steps")
