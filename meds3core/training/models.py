"""Loading what is trained and writing what was: whole models, and adapters that know their base."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, PeftType
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from meds3core.config.training import LoraSettings
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.errors import ConfigError, PolicyError
from meds3core.training.card import CARD, carry_files
from meds3core.training.checkpoints import write_synced

ADAPTER = "adapter"
"""Folder inside a merged model that keeps the adapter by itself."""

_CONFIGURATIONS = ("config.json", "generation_config.json")


def load_tokenizer(policy: PolicyFolder) -> PreTrainedTokenizerBase:
    """The tokenizer, with a padding token (padding is masked: any will do)."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(policy.path, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def load_policy(policy: PolicyFolder, dtype: torch.dtype) -> PreTrainedModel:
    """The policy as a causal language model, in this type."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        policy.path, dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return model


def lora_config(
    settings: LoraSettings | None, task: str = "CAUSAL_LM", also: tuple[str, ...] = ()
) -> LoraConfig | None:
    """peft's settings; None: everything is trained. `also`: modules trained as a whole, such as a head."""
    if settings is None:
        return None
    if any(name == "lm_head" for name in settings.target_modules):
        raise ConfigError("lora.target_modules: an adapter on lm_head cannot be trained; name inner modules")
    targets = settings.target_modules
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear" if targets == ("all-linear",) else list(targets),
        modules_to_save=list(also) or None,
        task_type=task,
    )


def save_trained(
    trainer: Trainer, to: Path, start: PolicyFolder, lora: LoraSettings | None, *, head: bool = False
) -> None:
    """Write the trained model into `to`, stored in the type of the start model, with the start's tokenizer.

    A merged adapter is kept beside the whole model in `adapter/`; one that is not merged stands alone, with its base's
    name and hash in its card. `head`: the model has another head than the start, so its configuration is its own.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    own = _CONFIGURATIONS if head else ()
    if isinstance(model, PeftModel):
        assert lora is not None
        _save_adapter(model, to / ADAPTER if lora.merge else to, start)
        if not lora.merge:
            carry_files(start.path, to)
            return
        model = model.merge_and_unload()
    model.to(getattr(torch, start.dtype, torch.float32))
    model.save_pretrained(to)
    carry_files(start.path, to, but=own)


def base_card(start: PolicyFolder) -> dict[str, Any]:
    """What an adapter's card says of its base."""
    return {"base": {"name": start.name, "hash": start.hash}}


def _save_adapter(model: PeftModel, to: Path, start: PolicyFolder) -> None:
    model.peft_config["default"].base_model_name_or_path = start.name  # never a path of this machine
    model.save_pretrained(to, save_embedding_layers=False)
    (to / "README.md").unlink(missing_ok=True)
    write_synced(to / CARD, json.dumps({"name": to.name, **base_card(start)}, indent=2) + "\n")


def check_base(adapter: Path, base: PolicyFolder) -> None:
    """Raises `PolicyError` when the folder is no adapter, or one that was trained on another base."""
    path = adapter / CARD
    try:
        settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        trained_on = json.loads(path.read_text(encoding="utf-8"))["base"]
        name, digest = str(trained_on["name"]), str(trained_on["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PolicyError(
            f"{adapter}: not an adapter that names its base (adapter_config.json, and base.hash in {CARD})."
        ) from None
    if settings.get("peft_type") != PeftType.LORA.value:
        raise PolicyError(f"{adapter}: only LoRA adapters are supported.")
    if digest != base.hash:
        raise PolicyError(
            f"{adapter}: trained on another base ({name}, hash {digest}) than {base.path.name} (hash {base.hash}). "
            "Name the base that it was trained on."
        )


def load_adapted(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> PeftModel:
    """A base with its adapter on it. Raises `PolicyError` when the adapter belongs to another base."""
    policy = inspect_policy(base)
    check_base(adapter, policy)
    return PeftModel.from_pretrained(load_policy(policy, dtype), adapter)


def write_merged(base: Path, adapter: Path, to: Path) -> None:
    """Write a base with its adapter merged into it, in the type that the base is stored in, with the adapter's card.

    The folder appears whole or not at all. Raises `PolicyError` when the adapter belongs to another base.
    """
    start = inspect_policy(base)
    model = load_adapted(base, adapter).merge_and_unload()
    model.to(getattr(torch, start.dtype, torch.float32))
    draft = to.with_name(f"{to.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    carry_files(start.path, draft)
    shutil.copyfile(adapter / CARD, draft / CARD)
    draft.rename(to)
