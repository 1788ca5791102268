"""From our configuration and a policy's folder to vLLM's arguments."""

import hashlib
import json
from pathlib import Path
from typing import Any

from vllm import EngineArgs
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform

from meds3core.config.engine import VllmEngineConfig
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import PolicyError

_CPU_STEP_TOKENS = 4096
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def engine_arguments(policy: PolicyFolder, config: VllmEngineConfig, adapter: "Adapter | None") -> EngineArgs:
    """What vLLM is started with: prefix caching on; on a CPU float32 and what was measured to be fast there."""
    arguments: dict[str, Any] = {
        "model": str(policy.path),
        "dtype": config.dtype,
        "max_model_len": context_length(policy, config),
        "max_num_seqs": config.max_batch,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "trust_remote_code": False,
        "load_format": "safetensors",
    }
    if current_platform.is_cpu():
        arguments |= {
            "dtype": "float32" if config.dtype == "auto" else config.dtype,
            "block_size": 32,  # the default finds nothing in the prefix cache for prompts of ordinary length
            "enforce_eager": True,  # compiling takes longer to start and to run
            # A prompt computed in two halves rewinds its request's random numbers, which a CPU's generator refuses.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(_CPU_STEP_TOKENS, context_length(policy, config)),
            "kv_cache_memory_bytes": config.cpu_cache_mebibytes << 20,
        }
    else:
        arguments |= {
            "gpu_memory_utilization": config.gpu_memory_utilization,
            "tensor_parallel_size": config.tensor_parallel_size,
        }
        if config.gpu_cache_mebibytes is not None:
            arguments["kv_cache_memory_bytes"] = config.gpu_cache_mebibytes << 20
    if adapter is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter.rank_allowed}
    return EngineArgs(**arguments)


def context_length(policy: PolicyFolder, config: VllmEngineConfig) -> int:
    """The model's own, or the cap below it."""
    return min(config.context_length or policy.context_length, policy.context_length)


class Adapter:
    """A LoRA adapter's folder, checked: its rank, its digest, how vLLM is asked for it."""

    def __init__(self, folder: str) -> None:
        path = Path(folder).absolute()
        weights, settings = path / "adapter_model.safetensors", path / "adapter_config.json"
        if not weights.is_file():
            raise PolicyError(f"{path}: no adapter_model.safetensors. Name the folder of a LoRA adapter.")
        try:
            content = settings.read_bytes()
            rank = json.loads(content)["r"]
            self.rank_allowed = next(allowed for allowed in _LORA_RANKS if allowed >= rank)
        except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
            raise PolicyError(f"{settings}: unreadable, or its rank is above 512 ({type(error).__name__}).") from None
        digest = hashlib.blake2b(content, digest_size=16)
        digest.update(weights.read_bytes())
        self.name = path.name
        self.hash = digest.hexdigest()
        self.request = LoRARequest(path.name, 1, str(path))
