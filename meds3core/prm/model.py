"""A reward model in memory: a backbone of the transformers library and a head."""

import gc
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from meds3core.config.engine import Dtype
from meds3core.engines.placement import chosen_device, chosen_dtype
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError, PolicyError
from meds3core.prm.card import LABELS, RewardFolder

_HEAD = "score"


def load_reward_model(
    folder: RewardFolder, *, device: str = "auto", dtype: Dtype = "auto"
) -> tuple[PreTrainedModel, Any]:
    """Model (evaluation mode, gradients off) and tokenizer. Raises `PolicyError` when a tensor is missing."""
    place = chosen_device(device)
    precision = chosen_dtype(dtype, folder.weights, place)
    options: dict[str, Any] = {"num_labels": LABELS[folder.score_head]} if folder.adapter else {}
    with _quiet():
        tokenizer = _tokenizer(folder)
        model, missing = _weights(folder.weights, precision, options)
        if folder.adapter:
            model = _with_adapter(model, folder)
        elif missing:
            raise PolicyError(f"{folder.path}: the weights lack {sorted(missing)[0]}. Copy the whole model.")
    labels = int(getattr(model, _HEAD).out_features)
    if labels != LABELS[folder.score_head]:
        raise ConfigError(
            f"{folder.path}: the model has {labels} labels, but score_head {folder.score_head} reads "
            f"{LABELS[folder.score_head]}."
        )
    ready: PreTrainedModel = model.to(place).eval().requires_grad_(False)
    return ready, tokenizer


def new_reward_model(policy: PolicyFolder, dtype: torch.dtype) -> PreTrainedModel:
    """A policy's backbone under a new head with one logit that starts at 0 for every step: score 0.5.

    The head's dropout is off, so that training reads what inference reads. A reward model given as the start keeps
    its head.
    """
    with _quiet():
        config = AutoConfig.from_pretrained(policy.path, local_files_only=True, trust_remote_code=False, num_labels=1)
        config.classifier_dropout = 0.0
        model, missing = _weights(policy, dtype, {"config": config})
    foreign = sorted(name for name in missing if not name.startswith(f"{_HEAD}."))
    if foreign:
        raise PolicyError(f"{policy.path}: the weights lack {foreign[0]}. Copy the whole model.")
    if missing:
        head = getattr(model, _HEAD)
        torch.nn.init.zeros_(head.weight)
        if head.bias is not None:
            torch.nn.init.zeros_(head.bias)
    started: PreTrainedModel = model
    return started


def backbone(model: PreTrainedModel) -> torch.nn.Module:
    """The part that gives hidden states."""
    part: torch.nn.Module = getattr(model, model.base_model_prefix)
    return part


def head(model: PreTrainedModel) -> torch.nn.Module:
    """The part that turns hidden states into logits."""
    part: torch.nn.Module = getattr(model, _HEAD)
    return part


def unload(model: PreTrainedModel) -> None:
    """Give back memory; call with the last reference."""
    cuda = next(model.parameters()).device.type == "cuda"
    del model
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()


def _tokenizer(folder: RewardFolder) -> Any:
    try:
        return AutoTokenizer.from_pretrained(folder.tokenizer, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        raise _unloadable(folder.weights, error) from error


def _weights(folder: PolicyFolder, dtype: torch.dtype, options: dict[str, Any]) -> tuple[Any, set[str]]:
    try:
        model, information = AutoModelForTokenClassification.from_pretrained(
            folder.path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        raise _unloadable(folder, error) from error
    if not isinstance(getattr(model, _HEAD, None), torch.nn.Linear):
        raise PolicyError(f"{folder.path}: {type(model).__name__} has no linear head named {_HEAD}.")
    return model, set(information["missing_keys"])


def _with_adapter(model: Any, folder: RewardFolder) -> Any:
    from peft import PeftModel  # only adapters need it, and it takes a second to import

    try:
        return PeftModel.from_pretrained(model, folder.adapter, use_safetensors=True).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise _unloadable(folder.weights, error) from error


def _unloadable(folder: PolicyFolder, error: Exception) -> PolicyError:
    return PolicyError(
        f"{folder.path}: transformers cannot load this model ({type(error).__name__}: {str(error)[:300]})"
    )


class _quiet:
    """No progress bars and no report of what a new head lacks: both are said better by whoever called."""

    def __enter__(self) -> None:
        self._bars = logging.is_progress_bar_enabled()
        self._level = logging.get_verbosity()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        logging.set_verbosity(self._level)
        if self._bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
