"""All that decides how a tree grows, besides question, policy and seed. Defaults are preset `paper`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from meds3core.types.record import Record

BackupRule = Literal["blend", "mean", "anchored"]
PromptName = Literal["auto", "guided", "plain"]


class DrawConfig(Record):
    """Temperature and nucleus of a kind of draw."""

    temperature: float = Field(ge=0.0, le=5.0)
    top_p: float = Field(gt=0.0, le=1.0)


class SearchConfig(Record):
    """Tree search (METHOD.md §2)."""

    prompt: PromptName = Field(
        default="auto",
        description="guided: instructions and a worked example for an instruct model; plain: the bare question; "
        "auto: what the policy's meds3.json names, else guided",
    )

    # select
    exploration: float = Field(default=2.0, ge=0.0, description="c of the upper confidence bound")
    unvisited_score: float = Field(default=5.0, description="Score of a child without visits")

    # expand
    branching: int = Field(default=3, ge=1, le=64, description="Moves per expansion")
    step_draw: DrawConfig = DrawConfig(temperature=1.0, top_p=0.95)
    step_tokens: int = Field(default=512, ge=1, le=32768, description="Token limit of one step")
    max_nodes: int = Field(default=60, ge=1, le=100_000, description="All nodes but the root; per tree")
    max_depth: int | None = Field(default=None, ge=2, le=1000, description="None: no limit")
    enough_correct: int | None = Field(default=4, ge=1, description="Stop at this many correct leaves; None: never")
    accept_at: float = Field(default=0.9, ge=0.0, le=1.0, description="From this rollout value: one Finish child only")

    # reflect
    reject_below: float = Field(default=0.5, ge=0.0, le=1.0, description="Finish nodes below may be reflected upon")
    max_reflections: int = Field(default=1, ge=0, le=16, description="Per path")

    # simulate
    simulation: Literal["rollouts", "scorer"] = Field(
        default="rollouts",
        description="rollouts: sampled completions checked by rule; scorer: a PRM's score of the step",
    )
    rollouts: int = Field(default=20, ge=1, description="A node at depth d gets max(rollouts // (d + 1), min_rollouts)")
    min_rollouts: int = Field(default=5, ge=1)
    rollout_draw: DrawConfig | None = Field(
        default=None,
        description="None: temperature 0.6 with the guided prompt, 1.0 with the plain one; top-p 0.9",
    )
    rollout_tokens: int = Field(default=1536, ge=1, le=65536, description="Token limit of rollouts and Finish texts")
    keep_rollouts: int = Field(default=2, ge=0, description="Rollout texts kept per node and outcome, to be read")

    # back up
    backup: BackupRule = "blend"

    # close
    close_below: int = Field(default=4, ge=0, description="Close when fewer correct (inference: finished) leaves exist")
    close_rollouts: bool = Field(default=True, description="Whether the closing moves' intermediate steps get rollouts")

    mode: Literal["training", "inference"] = Field(
        default="training", description="inference: no gold; needs simulation = scorer"
    )

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if self.mode == "inference" and self.simulation != "scorer":
            raise ValueError("mode 'inference' has no gold to check rollouts against: it needs simulation 'scorer'")
        if self.reject_below > self.accept_at:
            raise ValueError(
                f"reject_below ({self.reject_below}) must not exceed accept_at ({self.accept_at}): "
                "a node would be accepted and rejected at once"
            )
        if self.step_tokens > self.rollout_tokens:
            raise ValueError(f"step_tokens ({self.step_tokens}) must not exceed rollout_tokens ({self.rollout_tokens})")
        return self

    def rollouts_at(self, depth: int) -> int:
        """Number of rollouts of a new node at this depth."""
        return max(self.rollouts // (depth + 1), self.min_rollouts)


PRESETS: dict[str, SearchConfig] = {
    "paper": SearchConfig(),
    "quick": SearchConfig(max_nodes=16, rollouts=4, min_rollouts=4, step_tokens=64, rollout_tokens=128, max_depth=12),
    "thorough": SearchConfig(max_nodes=120, rollouts=32, min_rollouts=8, max_depth=12),
}
"""`paper` has every published value; the others limit depth as METHOD.md §2 advises."""
