"""Reinforcement learning from the verifier's verdicts (beyond the paper), with TRL's GRPOTrainer.

Of every question the policy writes `samples_per_question` answers; an answer's reward is 1 where the verifier finds it
right, else 0, and its advantage the reward's distance from the question's mean in standard deviations. Questions that
the policy always or never solves teach nothing.

The policy is asked as search and inference ask it: the plain prompt's ids, then the opener, then "Step 1:", each piece
tokenised by itself; it writes the rest. So what is reinforced is what will be sampled.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer

from meds3core.config.training import GrpoConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError, PolicyError
from meds3core.progress import CancelToken, ProgressSink
from meds3core.text.steps import OPENER, header, render_step
from meds3core.training.base import EmptyTrainingSet, TrainingResult
from meds3core.training.batches import plan_batches
from meds3core.training.card import data_hash
from meds3core.training.models import base_card, load_policy, load_tokenizer, lora_config, save_trained
from meds3core.training.rows import primed_prompt
from meds3core.training.running import Job, Setting, run_training
from meds3core.types.question import Question
from meds3core.verify.judge import judge

with warnings.catch_warnings():
    # Said of any vLLM newer than TRL's own tests, also where vLLM is not going to be used.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
    from trl import GRPOConfig as GrpoArguments
    from trl import GRPOTrainer

_METRICS = {
    "reward": "reward",
    "reward_std": "reward_spread",
    "frac_reward_zero_std": "without_signal",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "cut",
    "kl": "divergence",
}


class VerdictTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer on prompts encoded by us; the data set names them by their place in `prompts`."""

    def __init__(self, *, prompts: Sequence[Sequence[int]], **arguments: Any) -> None:
        self._prompts = prompts
        super().__init__(**arguments)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self._prompts[int(name)]) for name in prompts], None, {}


def train_grpo(
    start: Path,
    questions: Sequence[Question],
    config: GrpoConfig,
    out: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Reinforce right answers of the policy in `start`; the trained one lies in `out`.

    A step takes `batch_size` answers, `batch_size / samples_per_question` questions. An interrupted call is continued
    by the same call. Raises `ConfigError`, `EmptyTrainingSet`, `PolicyError`, and what `run_training` raises.
    """
    if config.batch_size % config.samples_per_question:
        raise ConfigError(
            f"batch_size ({config.batch_size}) must be a multiple of samples_per_question "
            f"({config.samples_per_question})"
        )
    policy = inspect_policy(start)
    tokenizer = load_tokenizer(policy)
    encoder = TrajectoryEncoder(tokenizer)
    if not encoder.end_of_turn:
        raise PolicyError(f"{policy.path}: the tokenizer has no token that ends a turn; no answer would ever end.")
    room = min(config.max_length, policy.context_length) - config.max_new_tokens
    encoded = [(question, primed_prompt(encoder, question)) for question in questions]
    fitting = [(question, prompt) for question, prompt in encoded if len(prompt) <= room]
    if not fitting:
        raise EmptyTrainingSet(
            f"All {len(questions)} questions are longer than {max(room, 0)} tokens, which is what max_new_tokens "
            "leaves of max_length and the context: raise max_length or lower max_new_tokens."
            if questions
            else "No questions to learn from."
        )
    prompts = [prompt for _, prompt in fitting]
    plan = plan_batches(
        [len(prompt) for prompt in prompts], config, size=config.batch_size // config.samples_per_question
    )
    plan = plan.without_tokens()  # what the policy will write is not known beforehand
    data = Dataset.from_dict({"prompt": [str(index) for index in plan.order]})

    def verdict(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        asked = [fitting[int(name)][0] for name in prompts]
        texts = [f"{render_step(0, OPENER)}{header(1)}{text}" for text in completions]
        return [float(bool(judge(text, question).correct)) for text, question in zip(texts, asked, strict=True)]

    def build(setting: Setting) -> Trainer:
        model = load_policy(policy, setting.device.weights)
        assert model.generation_config is not None
        model.generation_config.eos_token_id = sorted({*policy.eos_ids, *encoder.end_of_turn})
        own: dict[str, Any] = {
            "num_generations": config.samples_per_question,
            "max_completion_length": config.max_new_tokens,
            "temperature": config.temperature,
            "beta": config.beta,
            "shuffle_dataset": False,
            "use_vllm": config.engine == "vllm",
            "vllm_mode": "colocate",
        }
        trainer: Trainer = VerdictTrainer(
            prompts=prompts,
            model=model,
            args=setting.arguments(GrpoArguments, **own),
            reward_funcs=[verdict],
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=lora_config(config.lora),
        )
        return trainer

    job = Job(policy, config, data_hash(questions), len(fitting), len(questions) - len(fitting), plan, out)
    return run_training(
        job,
        build,
        lambda trainer, to: save_trained(trainer, to, policy, config.lora),
        card=base_card(policy) if config.lora and not config.lora.merge else {},
        metrics=_METRICS,
        sink=sink,
        cancel=cancel,
    )
