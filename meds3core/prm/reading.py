"""What every scorer does to a trajectory before it is computed, whatever computes it."""

from meds3core.encoding.trajectory import EncodedTrajectory
from meds3core.errors import ConfigError, ContextOverflow, PolicyError
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


def check_fits(trajectory: EncodedTrajectory, folder: RewardFolder, what: str) -> None:
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


def refuse_outcome_model(info: ScorerInfo) -> None:
    """Raise `ConfigError` where steps are to be scored by a model of outcomes."""
    if info.kind == "orm":
        raise ConfigError(f"{info.model} is an outcome reward model: it scores whole trajectories, not their steps")
