"""Training through our code against the plain library loop: TRL's trainer with nothing around it, on the same tensors.

    python -m tests.benchmarks.bench_training [--examples 256] [--repeats 3] [--threads 1]

Both see the same token ids in the same order in the same batches, with the same settings; ours adds progress events,
the check for divergence, cancelling and resuming. Timed is the loop, from the end of its first step to the end of its
last one (loading and setting up before, saving after are left out on both sides). The two run in turn, either first
by turns, and the ratio is the median over pairs. Prints one JSON line; wanted: at least 0.97.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from trl import DPOConfig as DpoArguments
from trl import SFTConfig as SftArguments
from trl import SFTTrainer

from meds3core.config.training import DpoConfig, SftConfig, TrainConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.progress import ProgressEvent
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.writing import write
from meds3core.training.batches import Plan, plan_batches
from meds3core.training.dpo import PairTrainer, train_dpo
from meds3core.training.models import load_policy, load_tokenizer, lora_config
from meds3core.training.rows import sft_rows
from meds3core.training.running import device_for
from meds3core.training.sft import train_sft
from meds3core.types.labels import PairKind, PreferencePair, SftExample

WANTED = 0.97


class Stopwatch(TrainerCallback):
    """Takes the times of the first step's end and the last one's: as a sink of ours, as a callback of the library."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def emit(self, event: ProgressEvent) -> None:
        if event.kind == "training-step":
            self._take(event.done in (1, event.total))

    def on_step_end(self, _: Any, state: TrainerState, *__: Any, **___: Any) -> None:
        self._take(state.global_step in (1, state.max_steps))

    def _take(self, finished: bool) -> None:
        if finished and torch.cuda.is_available():  # between first and last step nobody waits for the GPU
            torch.cuda.synchronize()
        self.times.append(_now())

    @property
    def taken(self) -> tuple[float, float]:
        """Wall and processor seconds."""
        (first, *_, last) = self.times
        return last[0] - first[0], last[1] - first[1]


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def sft_examples(count: int) -> list[SftExample]:
    rng = Random(0)
    return [
        SftExample(question=question.without_gold(), bodies=tuple(write(case_of(question), rng).bodies))
        for question in generate("train", count, 0)
    ]


def preference_pairs(count: int) -> list[PreferencePair]:
    """Two ways of going on after step 0, as the clinic writes them."""
    rng = Random(0)
    made = []
    for question in generate("train", count, 0):
        first, second = (tuple(write(case_of(question), rng).bodies) for _ in range(2))
        made.append(
            PreferencePair(
                kind=PairKind.FINISH,
                question=question.without_gold(),
                prefix=first[:1],
                chosen=first[1:],
                rejected=second[1:],
                chosen_finished=True,
                rejected_finished=True,
                margin=1.0,
            )
        )
    return made


def plain_arguments(kind: Any, config: TrainConfig, plan: Plan, folder: Path, **own: Any) -> Any:
    """What somebody would write who uses the library alone."""
    return kind(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.batch_size // config.micro_batch_size,
        train_sampling_strategy="sequential",
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        max_grad_norm=config.clip_norm,
        bf16=device_for(config).autocast,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        seed=config.seed,
        save_strategy="no",
        logging_steps=config.log_every,
        max_length=None,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
        **own,
    )


def timed(trainer: Trainer) -> tuple[float, float]:
    trainer.remove_callback(PrinterCallback)
    watch = Stopwatch()
    trainer.add_callback(watch)
    trainer.train()
    return watch.taken


def sft(count: int, threads: int | None, folder: Path, **changes: Any) -> tuple[int, Any, Any]:
    quick = {"learning_rate": 1e-4, "batch_size": 32, "micro_batch_size": 32, "max_length": 1024, "threads": threads}
    config = SftConfig.model_validate(quick | changes)
    policy = inspect_policy(folder)
    tokenizer = load_tokenizer(policy)
    examples = sft_examples(count)
    rows = sft_rows(TrajectoryEncoder(tokenizer), examples, config.max_length)
    plan = plan_batches([len(row.input_ids) for row in rows], config)
    columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
    data = Dataset.from_dict(columns).select(plan.order)

    def ours(work: Path) -> tuple[float, float]:
        watch = Stopwatch()
        train_sft(policy.path, examples, config, work / "model", sink=watch)
        return watch.taken

    def library(work: Path) -> tuple[float, float]:
        own = {"dataset_kwargs": {"skip_prepare_dataset": True}}
        return timed(
            SFTTrainer(
                model=load_policy(policy, device_for(config).weights),
                args=plain_arguments(SftArguments, config, plan, work, **own),
                train_dataset=data,
                processing_class=tokenizer,
                peft_config=lora_config(config.lora),
            )
        )

    return plan.tokens[-1] - plan.tokens[0], ours, library


def dpo(count: int, threads: int | None, folder: Path, **changes: Any) -> tuple[int, Any, Any]:
    quick = {"learning_rate": 1e-5, "batch_size": 32, "micro_batch_size": 32, "max_length": 1024, "threads": threads}
    config = DpoConfig.model_validate(quick | changes)
    policy = inspect_policy(folder)
    tokenizer = load_tokenizer(policy)
    pairs = preference_pairs(count)
    rows = [TrajectoryEncoder(tokenizer).pair(pair) for pair in pairs]
    plan = plan_batches([2 * len(row.prompt) + len(row.chosen) + len(row.rejected) for row in rows], config)
    data = Dataset.from_dict(
        {
            "prompt_ids": [row.prompt for row in rows],
            "chosen_ids": [row.chosen for row in rows],
            "rejected_ids": [row.rejected for row in rows],
        }
    )

    def ours(work: Path) -> tuple[float, float]:
        watch = Stopwatch()
        train_dpo(policy.path, pairs, config, work / "model", sink=watch)
        return watch.taken

    def library(work: Path) -> tuple[float, float]:
        # TRL cannot take ids without the subclass; its loop and its loss are TRL's own.
        trainer = PairTrainer(
            order=plan.order,
            reference=work / "reference.safetensors",
            model=load_policy(policy, device_for(config).weights),
            args=plain_arguments(DpoArguments, config, plan, work, beta=config.beta, precompute_ref_log_probs=True),
            train_dataset=data,
            processing_class=tokenizer,
            peft_config=lora_config(config.lora),
        )
        return timed(trainer)

    return plan.tokens[-1] - plan.tokens[0], ours, library


def compare(tokens: int, ours: Any, library: Any, repeats: int) -> dict[str, Any]:
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "library": []}
    sides = {"ours": ours, "library": library}
    for repeat in range(repeats + 1):
        for name in sorted(sides, reverse=bool(repeat % 2)):
            with tempfile.TemporaryDirectory() as folder:
                taken = sides[name](Path(folder))
            if repeat:  # the first pair warms up
                times[name].append(taken)
    pairs = list(zip(times["ours"], times["library"], strict=True))
    return {
        "tokens": tokens,
        "tokens_per_s": {name: round(tokens / min(wall for wall, _ in taken)) for name, taken in times.items()},
        "tokens_per_processor_s": {
            name: round(tokens / min(busy for _, busy in taken)) for name, taken in times.items()
        },
        "ratio": round(statistics.median(theirs[0] / mine[0] for mine, theirs in pairs), 3),
        "ratio_of_processor_time": round(statistics.median(theirs[1] / mine[1] for mine, theirs in pairs), 3),
        "wanted": WANTED,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = {
        method.__name__: compare(*method(options.examples, options.threads, policy_folder()), options.repeats)
        for method in (sft, dpo)
    }
    print(json.dumps({"benchmark": "training", "threads": options.threads, **figures}), flush=True)


if __name__ == "__main__":
    main()
