"""Reinforcement from verdicts: the bundled policy on clinic questions."""

import pytest
import torch

from meds3core.config.training import GrpoConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.engines.rendering import PromptEncoder
from meds3core.errors import Cancelled, ConfigError
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.text.prompts import TEMPLATES, answer_form
from meds3core.text.steps import OPENER
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.grpo import train_grpo
from meds3core.training.models import load_tokenizer
from meds3core.training.rows import primed_prompt
from meds3core.types.question import Gold, PatternFormat, Question
from tests.core.training.tiny import Remembering, same_weights, weights


def config(**changes):
    quick = {
        "learning_rate": 1e-4,
        "samples_per_question": 4,
        "batch_size": 8,
        "micro_batch_size": 8,
        "max_new_tokens": 96,
        "max_length": 512,
        "max_steps": 2,
        "threads": 1,
        "log_every": 1,
    }
    return GrpoConfig.model_validate(quick | changes)


def train(out, questions=None, *, sink=None, **changes):
    sink = sink or Remembering()
    questions = questions or generate("train", 6, 3)
    return train_grpo(policy_folder(), questions, config(**changes), out, sink=sink, cancel=sink.cancel), sink


def whatever(pattern):
    """Clinic questions whose gold is a pattern that every answer matches, or none."""
    return [
        Question(id=question.id, text=question.text, answer_format=PatternFormat(), gold=Gold(value=pattern))
        for question in generate("train", 4, 3)
    ]


def test_the_policy_is_asked_as_search_asks_it():
    tokenizer = load_tokenizer(inspect_policy(policy_folder()))
    for question in generate("train", 9, 1):
        prompt = TEMPLATES["plain"].continuation(question.text, answer_form(question), [OPENER], "finish")
        assert primed_prompt(TrajectoryEncoder(tokenizer), question) == PromptEncoder(tokenizer).encode(prompt)


def test_the_reward_is_the_verifiers_verdict(tmp_path):
    _, all_right = train(tmp_path / "right", whatever(".*"), max_steps=1, max_new_tokens=160)
    _, all_wrong = train(tmp_path / "wrong", whatever("none of these"), max_steps=1)
    right, wrong = (sink.of("training-step")[0].data["metrics"] for sink in (all_right, all_wrong))
    assert (right["reward"], wrong["reward"]) == (1.0, 0.0)
    # All answers alike: no advantage, so nothing is learnt.
    assert right["without_signal"] == wrong["without_signal"] == 1.0
    assert same_weights(policy_folder(), tmp_path / "right")


def test_mixed_verdicts_move_the_policy_and_the_run_repeats(tmp_path):
    result, sink = train(tmp_path / "one" / "model")
    steps = [event.data for event in sink.of("training-step")]
    assert any(step["metrics"]["without_signal"] < 1 for step in steps)
    assert all(0 <= step["metrics"]["reward"] <= 1 for step in steps)
    assert steps[1]["tokens"] > steps[0]["tokens"] > 8 * 50
    assert result.tokens == steps[-1]["tokens"]
    before, after = weights(policy_folder()), weights(tmp_path / "one" / "model")
    assert all(torch.isfinite(after[name]).all() for name in after)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    train(tmp_path / "two" / "model")
    assert same_weights(tmp_path / "one" / "model", tmp_path / "two" / "model")
    assert inspect_policy(tmp_path / "one" / "model").hash == inspect_policy(tmp_path / "two" / "model").hash


@pytest.mark.slow
def test_a_stopped_run_continues_exactly(tmp_path):
    train(tmp_path / "whole" / "model", max_steps=3)
    with pytest.raises(Cancelled):
        train(tmp_path / "model", sink=Remembering(at=("training-step", 1)), max_steps=3)
    _, sink = train(tmp_path / "model", max_steps=3)
    assert sink.events[0].done == 2
    assert same_weights(tmp_path / "whole" / "model", tmp_path / "model")


def test_what_cannot_be_trained_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"batch_size \(8\).*samples_per_question \(3\)"):
        train(tmp_path / "model", samples_per_question=3)
    with pytest.raises(EmptyTrainingSet, match="No questions"):
        train_grpo(policy_folder(), [], config(), tmp_path / "model")
    with pytest.raises(EmptyTrainingSet, match="All 6 questions are longer than 4 tokens"):
        train(tmp_path / "model", max_length=100)
