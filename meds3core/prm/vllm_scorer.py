"""Scores by vLLM's pooling runner: the logits of every token, read at the ends of steps.

For CUDA machines that serve a reward model in bulk, and the CPU build for tests. Trees are scored by their paths; which
of them share a beginning is vLLM's business. Scores equal those of `meds3core.prm.scorer` up to rounding (1e-3).
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

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
from meds3core.prm.base import ScoreItem, ScorerInfo, Scores
from meds3core.prm.card import RewardFolder, ScoreHead, inspect_reward_model
from meds3core.prm.probability import probability
from meds3core.prm.reading import check_fits, refuse_outcome_model, scorer_info, whole
from meds3core.prm.tree_paths import TreePaths
from meds3core.types.tree import Tree

_CPU_CACHE = 256 << 20


class VllmScorer:
    """See `meds3core.prm.base.TrajectoryScorer`. Blocking; one thread at a time."""

    def __init__(self, folder: RewardFolder, config: ScorerConfig) -> None:
        if folder.adapter:
            raise ConfigError(
                f"{folder.path}: an adapter; vLLM serves whole reward models only. Use the transformers scorer, or "
                "train with lora.merge."
            )
        if config.device.startswith("cuda") and current_platform.is_cpu():
            raise ConfigError(f"device is {config.device}, but this vLLM runs on a CPU. Choose auto.")
        self._folder = folder
        self._info = scorer_info(folder)
        self._head = folder.score_head
        self._alone = config.batch_invariant
        self._encoder = TrajectoryEncoder(AutoTokenizer.from_pretrained(folder.tokenizer, trust_remote_code=False))
        try:
            self._llm: Any = LLM(**_arguments(folder, config))
        except Exception as error:
            raise EngineError(f"vLLM could not load {folder.path} ({type(error).__name__}): {error}") from error

    @classmethod
    def load(
        cls,
        folder: Path | str,
        config: ScorerConfig,
        *,
        score_head: ScoreHead | None = None,
        base: Path | str | None = None,
    ) -> Self:
        """Inspect a reward model's folder and load it. Raises `PolicyError`, `ConfigError` and `EngineError`."""
        return cls(inspect_reward_model(folder, score_head=score_head, base=base), config)

    @property
    def info(self) -> ScorerInfo:
        """What this reward model is."""
        return self._info

    def score(self, items: Sequence[ScoreItem]) -> list[Scores]:
        """One result per item, in order: of a PRM a score per step, of an ORM one."""
        encoded = []
        for number, item in enumerate(items):
            trajectory = self._encoder.steps(item.question, item.bodies)
            check_fits(trajectory, self._folder, f"trajectory {number}")
            encoded.append(whole(trajectory) if self._info.kind == "orm" else trajectory)
        return self._run(encoded)

    def score_tree(self, tree: Tree) -> list[float]:
        """One score per node, by node id."""
        return self.score_trees([tree])[0]

    def score_trees(self, trees: Sequence[Tree]) -> list[list[float]]:
        """The scores of several trees, computed together."""
        refuse_outcome_model(self._info)
        paths = TreePaths(trees, self._encoder)
        for number, trajectory in enumerate(paths.trajectories):
            check_fits(trajectory, self._folder, f"path {number}")
        return paths.by_node([result.values for result in self._run(paths.trajectories)])

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
        groups = [[trajectory] for trajectory in trajectories] if self._alone else [trajectories]
        try:
            outputs = [output for group in groups for output in self._encode(group)]
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
