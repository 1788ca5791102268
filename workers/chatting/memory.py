"""How much memory a model for chat takes of the device, and the settings that keep it to that.

Every engine is told its cache, in advance: what engines would take by themselves (most of what is free) leaves nothing
to a second one. So a vLLM engine does not take its usual nine tenths of a GPU either, but what it needs, and two models
of a comparison, or a policy and its reward model, stand beside each other; with one share for one engine they would
take turns, and be loaded anew for every question.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from django.conf import settings

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig, TransformersEngineConfig, VllmEngineConfig
from meds3core.engines.memory import STEP_TOKENS, loaded_dtype, token_bytes, weight_bytes, working_bytes
from meds3core.engines.policy import ModelSize, model_size
from meds3core.errors import ConfigError
from meds3core.machine import memory_limit
from workers.chatting.device import Device

CPU_SHARE, GPU_SHARE = 0.5, 0.8
"""What chats may take where nothing is set: a processor's memory is everybody's, a GPU's is leased."""
CACHE_SHARE = 8
"""A policy's cache takes at most this part of what chats may take, so that there is room beside it."""
TURN_TOKENS = 2048
"""What a turn takes of the cache, about: a prompt, and an answer of the usual length. Longer ones wait for room."""
SMALLEST_CACHE = 64
"""Of vLLM, in MiB."""
SHELVES = 2.5
"""What the transformers engine takes for a cache of 1: rows have room to grow, and prompts lie beside them while they
are read. Measured: 2.4, with 64 prompts of equal length at once.
"""
USABLE = 4 / 5
"""Of a cache: the rest is for beginnings that were computed before."""
VLLM_BYTES = 2 << 30
"""What vLLM takes besides on a GPU: recorded graphs, workspaces."""


@dataclass(frozen=True)
class Need:
    """Bytes that a model takes."""

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.working


@dataclass(frozen=True)
class Plan:
    """What a model needs, and how it is loaded to need no more."""

    need: Need
    engine: EngineConfig | None = None
    """Of a policy."""


def device_bytes(device: Device) -> int:
    """Memory of the device: a GPU's, or what of the machine's this process may use."""
    return device.bytes or memory_limit()


def memory_budget(device: Device) -> int:
    """Bytes that the models of chats may take of the device together."""
    share = CPU_SHARE if device.is_cpu else GPU_SHARE * device.share
    if settings.CHAT_MEMORY_SHARE is not None:
        share = settings.CHAT_MEMORY_SHARE * (1.0 if device.is_cpu else device.share)
    return int(device_bytes(device) * share)


def policy_plan(folder: Path, adapter: Path | None, device: Device) -> Plan:
    """Of a policy in this folder, with an adapter on top of it. Raises `PolicyError`, `ConfigError`."""
    size = model_size(folder)
    dtype = loaded_dtype("auto", size.parameters, size.dtype, cuda=not device.is_cpu)
    kind = _engine_kind(device)
    if kind == "vllm" and device.is_cpu:
        dtype = "float32"
    weights = weight_bytes(size, dtype) + _adapter_bytes(adapter)
    tokens = STEP_TOKENS["cpu" if device.is_cpu else "cuda"]
    working = working_bytes(size, dtype, tokens=tokens, rows=settings.CHAT_TURNS)
    cache, context = _cache(size, dtype, memory_budget(device) / (SHELVES if kind == "transformers" else 1))
    if kind == "transformers":
        fast = TransformersEngineConfig(max_batch=settings.CHAT_TURNS, cache_mebibytes=cache, context_length=context)
        return Plan(Need(weights, int((cache << 20) * SHELVES), working), fast)
    cache = max(cache, SMALLEST_CACHE)
    working += 0 if device.is_cpu else VLLM_BYTES
    need = Need(weights, cache << 20, working)
    served = VllmEngineConfig(
        max_batch=settings.CHAT_TURNS,
        context_length=context,
        cpu_cache_mebibytes=cache,
        gpu_cache_mebibytes=cache,
        gpu_memory_utilization=min(1.0, need.total / device_bytes(device)),
    )
    return Plan(need, served)


def scorer_plan(folder: Path, adapter: Path | None, device: Device) -> Plan:
    """Of a reward model, which keeps no cache."""
    size, config = model_size(folder), ScorerConfig()
    dtype = loaded_dtype(config.dtype, size.parameters, size.dtype, cuda=not device.is_cpu)
    weights = weight_bytes(size, dtype) + _adapter_bytes(adapter)
    return Plan(Need(weights, 0, working_bytes(size, dtype, tokens=config.batch_tokens)))


def _engine_kind(device: Device) -> str:
    kind = str(settings.CHAT_ENGINE)
    if kind == "auto":
        return "vllm" if not device.is_cpu and find_spec("vllm") is not None else "transformers"
    if kind not in ("transformers", "vllm"):
        raise ConfigError("MEDS3_CHAT_ENGINE must be auto, transformers or vllm.")
    return kind


def _cache(size: ModelSize, dtype: str, budget: float) -> tuple[int, int]:
    """MiB of the cache, and how long a conversation may be for it to fit: as long as the model reads, where there is
    room for one that long.
    """
    of_token = max(1, token_bytes(size, dtype))
    wanted = max(size.context_length, settings.CHAT_TURNS * TURN_TOKENS) * of_token / USABLE
    mebibytes = max(1, ceil(min(wanted, budget / CACHE_SHARE) / (1 << 20)))
    return mebibytes, max(16, min(size.context_length, int((mebibytes << 20) * USABLE) // of_token))


def _adapter_bytes(folder: Path | None) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors")) if folder is not None else 0
