"""The ways to train as the forms show them: their specification, presets, what is asked first, what they learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meds3core.config.evolution import EVOLUTION_PRESETS
from meds3core.config.jobs import DpoSpec, EvolutionSpec, GrpoSpec, OrmSpec, PrmSpec, SftSpec
from meds3core.config.training import TRAINING_PRESETS
from meds3core.types.record import Record
from webapp.registry.models import LabelSet


@dataclass(frozen=True)
class Method:
    """One way to train."""

    spec: type[Record]
    label: str
    about: str
    settings: str
    """The field of the specification that holds the method's own settings."""
    presets: Mapping[str, Any]
    basic: tuple[str, ...]
    labels: LabelSet.Kind | None = None
    """The kind of label set that it learns from; none: questions."""


TRAINING_BASIC = (
    "policy",
    "labels",
    "questions",
    "name",
    "training.learning_rate",
    "training.epochs",
    "training.batch_size",
    "training.max_length",
)


def _training(name: str) -> Mapping[str, Any]:
    return {preset: methods[name] for preset, methods in TRAINING_PRESETS.items() if name in methods}


METHODS: Mapping[str, Method] = {
    "sft": Method(
        SftSpec,
        "Fine-tuning",
        "Imitates right trajectories of searches: supervised fine-tuning of a policy.",
        "training",
        _training("sft"),
        TRAINING_BASIC,
        LabelSet.Kind.SFT,
    ),
    "dpo": Method(
        DpoSpec,
        "Preference training",
        "Prefers the better of two continuations (DPO); begins from a fine-tuned policy.",
        "training",
        _training("dpo"),
        (*TRAINING_BASIC, "training.beta"),
        LabelSet.Kind.PAIRS,
    ),
    "prm": Method(
        PrmSpec,
        "Process reward model",
        "Learns to score every step from step labels, of rollouts and of people; chooses among answers at inference.",
        "training",
        _training("prm"),
        (*TRAINING_BASIC, "beside", "people.rule", "people.weight"),
        LabelSet.Kind.STEPS,
    ),
    "orm": Method(
        OrmSpec,
        "Outcome reward model",
        "Learns to score whole answers; the usual thing to compare a process reward model with.",
        "training",
        _training("orm"),
        TRAINING_BASIC,
        LabelSet.Kind.STEPS,
    ),
    "grpo": Method(
        GrpoSpec,
        "Reinforcement learning",
        "Rewards answers that the verifier finds right (GRPO), on questions instead of a label set.",
        "training",
        _training("grpo"),
        (*TRAINING_BASIC, "training.max_steps"),
    ),
    "evolution": Method(
        EvolutionSpec,
        "Evolution",
        "The whole loop: search, fine-tuning, search, preference training, reward model, with a control beside it.",
        "settings",
        EVOLUTION_PRESETS,
        (
            "name",
            "policy",
            "questions",
            "held_out",
            "validation",
            "settings.iterations",
            "settings.questions.quotas.count",
            "settings.search.max_nodes",
            "settings.search.rollouts",
            "settings.dpo_after",
            "settings.control",
        ),
    ),
}
"""By the word in URLs, which is also the kind of job."""

RUNS = tuple(word for word in METHODS if word != "evolution")
"""Kinds of jobs that train one model by one method."""
