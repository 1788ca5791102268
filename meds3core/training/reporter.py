"""The one callback of ours in a trainer's loop: reports, seals checkpoints, stops when asked, notices divergence."""

import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from meds3core.progress import CancelToken, ProgressSink
from meds3core.training.base import TrainingDiverged
from meds3core.training.batches import Plan
from meds3core.training.checkpoints import Checkpoint, checkpoint_path, seal
from meds3core.training.events import CheckpointSaved, TrainingStep, training_event

_CURVE = ("step", "loss", "learning_rate", "grad_norm")


class Reporter(TrainerCallback):
    """Watches one call of `Trainer.train`. `last` is the checkpoint that it continues."""

    def __init__(
        self,
        trainer: Trainer,
        plan: Plan,
        work: Path,
        keep: int,
        last: Checkpoint | None,
        metrics: dict[str, str],
        sink: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        self.trainer = trainer
        self.plan = plan
        self.work = work
        self.keep = keep
        self.metrics = metrics
        self.sink = sink
        self.cancel = cancel
        self.saved = last.step if last else 0
        """Step of the last whole checkpoint; 0: none."""
        self.tokens = last.tokens if last else 0
        self.stopped = False
        """Whether the run ended early because somebody asked."""
        self.writing: str | None = None
        """What is being written at the moment."""
        self._seconds_before = last.seconds if last else 0.0
        self._begun = time.monotonic()
        self._logged = (self._begun, self.tokens)

    @property
    def seconds(self) -> float:
        """Of training so far, earlier calls included."""
        return self._seconds_before + time.monotonic() - self._begun

    @property
    def final_loss(self) -> float:
        """The loss of the last step."""
        losses = [entry["loss"] for entry in self.trainer.state.log_history if "loss" in entry]
        return float(losses[-1]) if losses else math.nan

    def curve(self, seconds: float) -> list[dict[str, Any]]:
        """What was logged, point by point, and the duration at the end."""
        history = [entry for entry in self.trainer.state.log_history if "loss" in entry]
        points: list[dict[str, Any]] = [{key: entry[key] for key in _CURVE if key in entry} for entry in history]
        return [*points, {"seconds": round(seconds, 3)}]

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clocks: what came before (compiling, loading) is not training."""
        self._begun = time.monotonic()
        self._logged = (self._begun, self.tokens)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Refuse a step that would spoil the weights."""
        assert self.trainer.model is not None
        gradients = [p.grad for p in self.trainer.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        loss = self.trainer._tr_loss
        if not torch.isfinite(norm) or not torch.isfinite(loss):
            what = "loss" if not torch.isfinite(loss) else "gradient"
            kept = f"the checkpoint of step {self.saved}" if self.saved else "no checkpoint yet"
            raise TrainingDiverged(
                f"The {what} became NaN or infinite at step {state.global_step + 1} of {state.max_steps}; nothing was "
                f"written over what is kept in {self.work.name} ({kept}). Lower learning_rate or clip_norm, or add "
                "warm_up_steps, and train into another folder."
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Count, and stop with a checkpoint when asked."""
        if self.plan.tokens:
            self.tokens = self.plan.tokens[state.global_step - 1]
        if state.global_step < state.max_steps and self._asked_to_stop(args):
            control.should_save = control.should_training_stop = self.stopped = True
        if control.should_save or state.global_step >= state.max_steps - 1:
            # Averages begin anew at a checkpoint, so a resumed run logs what an uninterrupted one logs; and the last
            # one is of the last step alone, wherever a run was stopped.
            control.should_log = True
        self.writing = f"the checkpoint of step {state.global_step}" if control.should_save else None
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The trainer has written its files: declare them whole."""
        self.trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            path = checkpoint_path(self.work, state.global_step)
            seal(Checkpoint(path, state.global_step, self.seconds, self.tokens), self.keep)
            self.sink.emit(training_event(CheckpointSaved(name=path.name), state.global_step, state.max_steps))
        self.saved = state.global_step
        self.writing = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Pass on what the trainer logs."""
        if not logs or "loss" not in logs:
            return
        if not self.plan.tokens:
            self.tokens = int(state.num_input_tokens_seen)
        now, (then, tokens_then) = time.monotonic(), self._logged
        self._logged = (now, self.tokens)
        grad_norm = logs.get("grad_norm")
        step = TrainingStep(
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            grad_norm=None if grad_norm is None else float(grad_norm),
            tokens=self.tokens,
            tokens_per_second=(self.tokens - tokens_then) / max(now - then, 1e-9),
            seconds=self.seconds,
            memory_bytes=_peak_memory(),
            metrics={name: float(logs[key]) for key, name in self.metrics.items() if key in logs},
        )
        self.sink.emit(training_event(step, state.global_step, state.max_steps))

    def _asked_to_stop(self, args: TrainingArguments) -> bool:
        asked = self.cancel.cancelled
        if args.world_size > 1:
            flag = torch.tensor(int(asked), device=args.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            asked = bool(flag.item())
        return asked


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
