"""What every method needs around its trainer: device and precision, resuming, cancelling, reports, the model folder.

A method's file builds its data and its trainer; `run_training` does the rest. The trainers are TRL's and
transformers' own: nothing here stands between them and their loops but one callback.
"""

import errno
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub.constants
import torch
from peft.tuners.tuners_utils import NoMatchingPeftModuleError
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

from meds3core.config.training import TrainConfig
from meds3core.engines.placement import avoid_planned_attention
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import Cancelled, ConfigError
from meds3core.progress import CancelToken, NullSink, ProgressSink
from meds3core.training.base import StorageError, TrainingResult
from meds3core.training.batches import Plan, accumulation
from meds3core.training.card import finished_result, model_card, run_manifest, write_model_folder
from meds3core.training.checkpoints import claimed, newest, work_folder
from meds3core.training.events import TrainingFinished, TrainingStarted, training_event
from meds3core.training.reporter import Reporter

# TRL reports the use of its trainers to its makers; nothing leaves this machine.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Arguments = TypeVar("Arguments", bound=TrainingArguments)


@dataclass(frozen=True, slots=True)
class Device:
    """Where and how a run computes. `weights`: the type that the start model is loaded in."""

    cpu: bool
    autocast: bool
    weights: torch.dtype

    @property
    def name(self) -> str:
        """For people: the GPU's name or cpu."""
        return "cpu" if self.cpu else torch.cuda.get_device_name()

    @property
    def precision(self) -> str:
        """What products are computed in."""
        return "bfloat16" if self.autocast else "float32"


def device_for(config: TrainConfig) -> Device:
    """The GPU where there is one; bfloat16 products there if it has them, else float32.

    What is trained is kept in float32 (a rate of 1e-6 moves no bfloat16 weight); the frozen base of an adapter is not.
    """
    cpu = not torch.cuda.is_available()
    half = config.precision == "bfloat16"
    if config.precision == "auto":
        half = not cpu and torch.cuda.is_bf16_supported()
    return Device(cpu, half, torch.bfloat16 if half and not cpu and config.lora else torch.float32)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a method's trainer is built with: `arguments` makes its TrainingArguments."""

    config: TrainConfig
    device: Device
    plan: Plan
    work: Path

    def arguments(self, kind: type[Arguments], **own: Any) -> Arguments:
        """Arguments of this kind: what all methods share, and the method's own."""
        config = self.config
        made = kind(
            output_dir=str(self.work),
            max_steps=self.plan.steps,
            per_device_train_batch_size=config.micro_batch_size,
            gradient_accumulation_steps=accumulation(config, processes()),
            # The order is fixed in the plan: taken as it is, a resumed run sees what an uninterrupted one sees.
            train_sampling_strategy="sequential",
            learning_rate=config.learning_rate,
            lr_scheduler_type="constant_with_warmup" if config.schedule == "constant" else config.schedule,
            warmup_steps=config.warm_up_steps,
            weight_decay=config.weight_decay,
            max_grad_norm=config.clip_norm,
            bf16=self.device.autocast,
            use_cpu=self.device.cpu,
            gradient_checkpointing=config.gradient_checkpointing,
            seed=config.seed,
            save_strategy="steps",
            save_steps=config.save_every,
            save_total_limit=None,  # the reporter removes old ones, and only after the new one is whole
            logging_steps=config.log_every,
            logging_first_step=True,
            logging_nan_inf_filter=False,
            dataloader_pin_memory=not self.device.cpu,
            disable_tqdm=True,
            report_to="none",
            **own,
        )
        if made.n_gpu > 1:
            # One process trains on one device; DataParallel is what transformers would do with the others.
            made._n_gpu = 1
        return made


def processes() -> int:
    """How many train together (`accelerate launch` or torchrun says so)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained into which folder. `data`: digest of the records, of which `left_out` did not fit."""

    start: PolicyFolder
    config: TrainConfig
    data: str
    examples: int
    left_out: int
    plan: Plan
    out: Path


def run_training(
    job: Job,
    build: Callable[[Setting], Trainer],
    save: Callable[[Trainer, Path], None],
    *,
    card: dict[str, Any] | None = None,
    metrics: dict[str, str] | None = None,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> TrainingResult:
    """Train what `build` makes and leave a model folder at `job.out`, continuing an interrupted run of the same.

    `save` writes the trained model, its configuration and its tokenizer into the folder that it is given; `card` is
    added to `meds3.json`; `metrics` renames what the trainer logs for the reports. A finished run of the same training
    is found in `job.out` and returned as it is.

    Raises:
        ConfigError: the folder holds something else, or batch sizes do not divide.
        TrainingDiverged: the loss or the gradient became NaN or infinite.
        StorageError: the disk is full.
        Cancelled: after the checkpoint is on disk.
    """
    sink, cancel = (sink or NullSink()) if is_main() else NullSink(), cancel or CancelToken()
    out = job.out.absolute()
    manifest = run_manifest(job.config, job.start, job.data)
    result = finished_result(out, manifest)
    if result is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with claimed(out, manifest) if is_main() else nullcontext(work_folder(out)) as work, _surroundings(job.config):
            try:
                result = _train(job, build, save, work, manifest, card or {}, metrics or {}, sink, cancel)
            finally:
                _release()
    if is_main():
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return result


def _train(
    job: Job,
    build: Callable[[Setting], Trainer],
    save: Callable[[Trainer, Path], None],
    work: Path,
    manifest: dict[str, Any],
    extra: dict[str, Any],
    metrics: dict[str, str],
    sink: ProgressSink,
    cancel: CancelToken,
) -> TrainingResult:
    if cancel.cancelled:
        raise Cancelled("Stopped before the first step.")
    device = device_for(job.config)
    if not device.cpu:
        avoid_planned_attention()
    set_seed(job.config.seed)
    try:
        trainer = build(Setting(job.config, device, job.plan, work))
    except NoMatchingPeftModuleError as error:
        raise ConfigError(f"lora.target_modules: {error}") from error
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ConfigError("Sharded training (FSDP, DeepSpeed) is not supported: every process holds the whole model")
    trainer.remove_callback(PrinterCallback)
    last = newest(work, clean=is_main())
    reporter = Reporter(trainer, job.plan, work, job.config.keep_checkpoints, last, metrics, sink, cancel)
    trainer.add_callback(reporter)
    steps = job.plan.steps
    parameters = list(_module(trainer).parameters())
    started = TrainingStarted(
        method=manifest["config"]["method"],
        device=device.name,
        precision=device.precision,
        processes=processes(),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        examples=job.examples,
        left_out=job.left_out,
        tokens=job.plan.tokens[-1] if job.plan.tokens else 0,
    )
    sink.emit(training_event(started, last.step if last else 0, steps))
    with _storage(work, lambda: reporter.writing):
        trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    if reporter.stopped:
        at = trainer.state.global_step
        raise Cancelled(f"Stopped after step {at} of {steps}. The same command continues from there.")
    result = {
        "steps": trainer.state.global_step,
        "examples": job.examples,
        "left_out": job.left_out,
        "tokens": reporter.tokens,
        "final_loss": reporter.final_loss,
    }
    seconds = reporter.seconds
    trainer.accelerator.wait_for_everyone()
    if is_main():
        content = model_card(job.out.name, job.start, manifest, result) | extra
        with _storage(work, lambda: "the model folder"):
            write_model_folder(
                job.out.absolute(), work / "final", lambda to: save(trainer, to), content, reporter.curve(seconds)
            )
    trainer.accelerator.wait_for_everyone()
    finished = TrainingFinished(final_loss=reporter.final_loss, tokens=reporter.tokens, seconds=seconds)
    sink.emit(training_event(finished, steps, steps))
    return TrainingResult(model=job.out.absolute(), seconds=seconds, **result)


def _release() -> None:
    """Give a GPU's memory back: trainer and callbacks hold one another, so nothing frees itself."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def _module(trainer: Trainer) -> torch.nn.Module:
    assert isinstance(trainer.model, torch.nn.Module)
    return trainer.model


@contextmanager
def _storage(work: Path, writing: Callable[[], str | None]) -> Iterator[None]:
    """Turns a failure to write into one message; what is half-written is removed, what was whole stays.

    `writing` says what was being written, None: nothing.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        code = getattr(error, "errno", None)
        what = writing()
        if what is None and code not in _FULL:
            raise
        shutil.rmtree(work / "final", ignore_errors=True)
        last = newest(work, clean=is_main())
        kept = f"The checkpoint of step {last.step} is whole" if last else "There is no checkpoint yet"
        reason = os.strerror(code) if isinstance(code, int) else str(error).splitlines()[0]
        raise StorageError(
            f"{work}: {what or 'a file'} could not be written ({reason}). {kept}; make room, then give the same "
            "command to continue."
        ) from error


@contextmanager
def _surroundings(config: TrainConfig) -> Iterator[None]:
    """Threads as configured, no progress bars of others (loading, writing): put back afterwards."""
    threads, bars = torch.get_num_threads(), logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
