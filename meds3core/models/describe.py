"""What a model's folder holds, in a few facts for people and for whoever chooses a model. Loads nothing heavy.

Whole policies and reward models are read by `inspect_policy` and `inspect_reward_model`; an adapter by its own two
files and its base.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.errors import PolicyError
from meds3core.prm.card import ADAPTER, CARD, ScoreHead, inspect_reward_model
from meds3core.types.record import Record

ModelRole = Literal["policy", "prm", "orm"]

ADAPTER_CONFIG = "adapter_config.json"
_READ = 1 << 20


class ModelFacts(Record):
    """Facts of one model."""

    role: ModelRole
    architecture: str
    parameters: int
    """Of the whole model; of an adapter, of its base."""
    dtype: str
    vocabulary: int
    max_positions: int
    prompt: str
    """Name of the prompt it was made for."""
    hash: str
    """The digest that trees, evaluations and cards know it by."""
    name: str
    """By its own card, or its folder's name."""
    end_tokens: tuple[int, ...] = ()
    score_head: str | None = None
    """How a reward model's logits are read."""
    adapter_of: str | None = None
    """Of an adapter: the digest of its base."""
    adapter_rank: int | None = None


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a LoRA adapter by itself; a merged one keeps its adapter in a folder of its own."""
    return (folder / ADAPTER).is_file()


def card_of(folder: Path) -> dict[str, Any]:
    """What the model's card (`meds3.json`) says; empty without one. Raises `PolicyError` when it cannot be read."""
    return _json(folder / CARD)


def describe_model(
    folder: Path, role: ModelRole, *, base: Path | None = None, score_head: ScoreHead | None = None
) -> ModelFacts:
    """Check a model's folder and describe it. An adapter needs the folder of its base.

    Raises `PolicyError` or `ConfigError`, which say what is wrong and what to do.
    """
    if is_adapter(folder) and base is None:
        raise PolicyError(f"{folder.name}: this is an adapter. Name the base that it belongs to.")
    if role != "policy":
        return _reward_model(folder, role, base, score_head)
    if is_adapter(folder):
        assert base is not None
        return _policy_adapter(folder, inspect_policy(base))
    found = inspect_policy(folder)
    if not found.architecture.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")):
        raise PolicyError(
            f"config.json: {found.architecture} is no causal language model. Import a reward model as one, and a "
            "policy by its own folder."
        )
    return _facts(found, "policy")


def _facts(weights: PolicyFolder, role: ModelRole, **more: Any) -> ModelFacts:
    return ModelFacts(
        **{
            "role": role,
            "architecture": weights.architecture,
            "parameters": weights.parameters,
            "dtype": weights.dtype,
            "vocabulary": weights.vocabulary,
            "max_positions": weights.context_length,
            "prompt": weights.prompt,
            "hash": weights.hash,
            "name": weights.name,
            "end_tokens": weights.eos_ids,
            **more,
        }
    )


def _reward_model(folder: Path, role: ModelRole, base: Path | None, score_head: ScoreHead | None) -> ModelFacts:
    found = inspect_reward_model(folder, base=base, score_head=score_head)
    if found.kind != role and (folder / CARD).is_file():
        raise PolicyError(f"meds3.json: the card says that it is a {found.kind.upper()}, not a {role.upper()}.")
    more: dict[str, Any] = {"name": found.name, "hash": found.hash, "score_head": found.score_head}
    if found.adapter is not None:
        more |= {"adapter_of": found.weights.hash, "adapter_rank": _rank(folder)}
    return _facts(found.weights, role, **more)


def _policy_adapter(folder: Path, base: PolicyFolder) -> ModelFacts:
    card = card_of(folder)
    stated = card.get("base")
    wanted = stated.get("hash") if isinstance(stated, dict) else None
    if wanted is not None and wanted != base.hash:
        raise PolicyError(f"meds3.json: trained on another base (hash {wanted}) than the one named ({base.hash}).")
    digest = _digest(folder, base)
    name = str(card.get("name") or folder.name)
    return _facts(base, "policy", name=name, hash=digest, adapter_of=base.hash, adapter_rank=_rank(folder))


def _digest(folder: Path, base: PolicyFolder) -> str:
    digest = hashlib.blake2b(base.hash.encode(), digest_size=16)
    for name in (ADAPTER, ADAPTER_CONFIG):
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(_READ):
                digest.update(chunk)
    return digest.hexdigest()


def _rank(folder: Path) -> int | None:
    rank = _json(folder / ADAPTER_CONFIG).get("r")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path.name}: cannot be read as JSON ({type(error).__name__}).") from None
    return content if isinstance(content, dict) else {}
