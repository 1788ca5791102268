"""Scores by vLLM's pooling runner: the logits of every token, read at the ends of steps.

For CUDA machines that serve a reward model in bulk, and the CPU build for tests. Trees are scored by their paths; which
of them share a beginning is vLLM's business. Scores equal those of `meds3core.prm.scorer` up to rounding (1e-3).
"""

import gc
from collections.abc import Sequence
from typing import Any

# First: sets what has to be set before torch and vLLM are imported.
import meds3core.engines.vllm  # noqa: F401

# isort: split
import torch
from transformers import AutoTokenizer
from vllm import LLM, PoolingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.inputs import TokensPrompt
from vllm.platforms import current_platform

from meds3core.config.decoding import ScorerConfig
from meds3core.encoding.trajectory import EncodedTrajectory, TrajectoryEncoder
from meds3core.errors import AppError, ConfigError, EngineError
from meds3core.prm.base import Scores
from meds3core.prm.card import RewardFolder
from meds3core.prm.probability import probability
from meds3core.prm.reading import FolderScorer

_CPU_CACHE = 256 << 20


class VllmScorer(FolderScorer):
    """See `meds3core.prm.base.TrajectoryScorer`. Blocking; one thread at a time."""

    def __init__(self, folder: RewardFolder, config: ScorerConfig) -> None:
        if folder.adapter:
            raise ConfigError(
                f"{folder.path}: an adapter; vLLM serves whole reward models only. Use the transformers scorer, or "
                "train with lora.merge."
            )
        if config.device.startswith("cuda") and current_platform.is_cpu():
            raise ConfigError(f"device is {config.device}, but this vLLM runs on a CPU. Choose auto.")
        super().__init__(folder, config)
        self._encoder = TrajectoryEncoder(AutoTokenizer.from_pretrained(folder.tokenizer, trust_remote_code=False))
        try:
            self._llm: Any = LLM(**_arguments(folder, config))
        except Exception as error:
            raise EngineError(f"vLLM could not load {folder.path} ({type(error).__name__}): {error}") from error

    def close(self) -> None:
        """Give back memory."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None
            gc.collect()
            cleanup_dist_env_and_memory()

    def _run(self, trajectories: Sequence[EncodedTrajectory]) -> list[Scores]:
        if self._llm is None:
            raise AppError("this scorer is closed")
        if not trajectories:
            return []
        try:
            outputs = [output for group in self._groups(trajectories) for output in self._encode(group)]
        except Exception as error:
            raise EngineError(f"vLLM failed while scoring ({type(error).__name__}): {error}") from error
        scores = []
        for trajectory, output in zip(trajectories, outputs, strict=True):
            logits: torch.Tensor = output.outputs.data.float().cpu()[list(trajectory.ends)]
            values = probability(logits, self._head).tolist()
            scores.append(Scores(tuple(values), len(trajectory.ids) - int(output.num_cached_tokens or 0)))
        return scores

    def _encode(self, trajectories: Sequence[EncodedTrajectory]) -> Sequence[Any]:
        outputs: Sequence[Any] = self._llm.encode(
            [TokensPrompt(prompt_token_ids=list(trajectory.ids)) for trajectory in trajectories],
            pooling_params=PoolingParams(task="token_classify", use_activation=False),
            pooling_task="token_classify",
            use_tqdm=False,
        )
        return outputs


def _arguments(folder: RewardFolder, config: ScorerConfig) -> dict[str, Any]:
    context = folder.weights.context_length
    arguments: dict[str, Any] = {
        "model": str(folder.path),
        "runner": "pooling",
        "dtype": config.dtype,
        "max_model_len": context,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "trust_remote_code": False,
        "load_format": "safetensors",
    }
    if current_platform.is_cpu():
        return arguments | {
            "dtype": "float32" if config.dtype == "auto" else config.dtype,
            "block_size": 32,
            "enforce_eager": True,  # compiling takes longer to start and to run
            "max_num_batched_tokens": max(config.batch_tokens, context),
            "kv_cache_memory_bytes": _CPU_CACHE,
        }
    return arguments | {"gpu_memory_utilization": config.gpu_memory_utilization}
