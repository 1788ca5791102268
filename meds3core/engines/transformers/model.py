"""A causal language model of the transformers library, loaded for packed steps."""

import gc
from collections.abc import Sequence
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from meds3core.config.engine import TransformersEngineConfig
from meds3core.engines.placement import chosen_device, chosen_dtype
from meds3core.engines.policy import PolicyFolder
from meds3core.engines.transformers import attention
from meds3core.engines.transformers.attention import Step, Stretch
from meds3core.engines.transformers.slots import CacheShape
from meds3core.errors import PolicyError
from meds3core.machine import memory_limit


class PackedModel:
    """Weights, tokenizer and one operation: the logits of a step."""

    def __init__(self, policy: PolicyFolder, config: TransformersEngineConfig) -> None:
        self.device = chosen_device(config.device)
        self.dtype = chosen_dtype(config.dtype, policy, self.device)
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(policy.path, local_files_only=True, trust_remote_code=False)
            model: Any = AutoModelForCausalLM.from_pretrained(
                policy.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=self.dtype,
                attn_implementation="sdpa",
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
            raise PolicyError(
                f"{policy.path}: transformers cannot load this model ({type(error).__name__}: {str(error)[:300]})"
            ) from error
        finally:
            if bars:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        model.to(self.device)
        self.model: PreTrainedModel = model.eval().requires_grad_(False)
        self._cache_bytes = config.cache_mebibytes << 20 if config.cache_mebibytes else None
        self.shape = _cache_shape(policy, self.model, self.dtype, self.device)
        self.vocabulary = int(self.model.get_output_embeddings().weight.shape[0])
        _refuse_growing_frequencies(policy, self.model)
        self._check_against_stock(policy)

    def logits(self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, wanted: torch.Tensor) -> torch.Tensor:
        """Logits [wanted, vocabulary] at the indices `wanted` of the step's tokens [n] with their positions [n]."""
        out = self.model(
            input_ids=tokens[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=wanted,
            step=step,
        )
        logits: torch.Tensor = out.logits[0]
        return logits

    def unload(self) -> None:
        """Give the weights' memory back; the model is of no use afterwards."""
        self.model = None  # type: ignore[assignment]
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def cache_budget(self) -> int:
        """Bytes that keys and values may take: what was asked for, else most of a GPU's free memory, or part of the
        machine's.
        """
        if self._cache_bytes is not None:
            return self._cache_bytes
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return int(free * 0.8)
        return int(min(psutil.virtual_memory().available, memory_limit()) * 0.4)

    def _check_against_stock(self, policy: PolicyFolder) -> None:
        """Two sequences in one packed step must give what the library's own attention gives for each."""
        generator = torch.Generator().manual_seed(0)
        samples = [torch.randint(0, self.vocabulary, (n,), generator=generator).to(self.device) for n in (9, 5)]
        with torch.inference_mode():
            stock = torch.cat([self.model(input_ids=ids[None], use_cache=False).logits[0] for ids in samples]).float()
            try:
                self.model.set_attn_implementation(attention.NAME)
                packed = self._packed(samples).float()
            except (attention.UnsupportedAttention, ValueError, TypeError, RuntimeError) as error:
                raise _unsupported(policy, f"{type(error).__name__}: {error}") from error
        scale = float(stock.abs().max()) or 1.0
        tolerance = 1e-3 if self.dtype == torch.float32 else 0.1
        if not torch.isfinite(stock).all():
            raise PolicyError(f"{policy.path}: the model's outputs are not finite in {self.dtype}. Try dtype bfloat16.")
        if float((stock - packed).abs().max()) > tolerance * scale:
            raise _unsupported(policy, "its outputs differ from the library's own")

    def _packed(self, samples: Sequence[torch.Tensor]) -> torch.Tensor:
        stretches, start = [], 0
        for ids in samples:
            stretches.append(Stretch(self.shape.block(len(ids)), start, start + len(ids), 0))
            start += len(ids)
        positions = torch.cat([torch.arange(len(ids), device=self.device) for ids in samples])
        wanted = torch.arange(start, device=self.device)
        return self.logits(torch.cat(list(samples)), positions, Step((), stretches), wanted)


def _cache_shape(policy: PolicyFolder, model: PreTrainedModel, dtype: torch.dtype, device: torch.device) -> CacheShape:
    config: Any = model.config.get_text_config()
    try:
        heads = config.num_key_value_heads or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return CacheShape(config.num_hidden_layers, heads, size, dtype, device)
    except (AttributeError, TypeError) as error:
        raise _unsupported(policy, str(error)) from None


def _refuse_growing_frequencies(policy: PolicyFolder, model: PreTrainedModel) -> None:
    """Rotary frequencies that change with the longest sequence of a batch would make a result depend on its company."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None)
    kind = rope.get("rope_type") if isinstance(rope, dict) else None
    if kind in ("dynamic", "longrope"):
        raise _unsupported(policy, f"its rotary frequencies ({kind}) depend on the other sequences of a batch")


def _unsupported(policy: PolicyFolder, reason: str) -> PolicyError:
    return PolicyError(
        f"{policy.path}: the transformers engine cannot batch {policy.architecture} ({reason}). Use the vllm engine."
    )
