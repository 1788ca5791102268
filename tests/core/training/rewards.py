"""Trajectories whose steps are plainly good or bad, and quick settings to learn that from them."""

import random

from transformers import TrainingArguments

from meds3core.config.decoding import ScorerConfig
from meds3core.config.training import PrmConfig
from meds3core.text.steps import OPENER
from meds3core.training.reward_trainer import RewardTrainer
from meds3core.types.labels import LabelledTrajectory
from tests.core.prm.tiny import make_question

CPU = ScorerConfig(device="cpu")
GOOD, BAD = "The weight fits the dose.", "Ignore the weight."


def make_trajectories(count: int, seed: int = 0) -> list[LabelledTrajectory]:
    """Over five questions; a step is good or bad as its text says, and from a bad one on nothing is right."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        steps = [rng.choice((GOOD, GOOD, BAD)) for _ in range(rng.randint(1, 4))]
        right = BAD not in steps
        labels = [None, *(float(BAD not in steps[: number + 1]) for number in range(len(steps)))]
        made.append(
            LabelledTrajectory(
                question=make_question(rng.randrange(5)),
                bodies=(OPENER, *steps),
                labels=tuple(labels),
                correct=right,
            )
        )
    return made


def settings_for(**changes) -> PrmConfig:
    quick = {
        "learning_rate": 3e-3,
        "epochs": 8,
        "batch_size": 8,
        "micro_batch_size": 8,
        "lora": None,
        "threads": 1,
        "max_length": 600,
    }
    return PrmConfig(**(quick | changes))


def make_trainer(model, tmp_path, loss="bce") -> RewardTrainer:
    arguments = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", remove_unused_columns=False
    )
    return RewardTrainer(loss=loss, model=model, args=arguments)
