"""What lies in a reward model's folder, read without loading it: its kind, its head, its base.

A reward model is a checkpoint of transformers' `AutoModelForTokenClassification` with its tokenizer and a card
`meds3.json`:

    {"role": "prm" | "orm", "score_head": "sigmoid" | "sigmoid1" | "softmax1", "prompt": "plain", "prompt_hash": "…",
     "base": {"name": "…", "hash": "…"}, …}

The folder may instead hold a LoRA adapter of such a model; then the card names the base it belongs to. Published
models have no card: the caller says how their logits are read. Imports neither torch nor transformers.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from meds3core.encoding.trajectory import PROMPT
from meds3core.engines.policy import PolicyFolder, inspect_policy
from meds3core.errors import ConfigError, PolicyError

CARD = "meds3.json"
ADAPTER = "adapter_model.safetensors"

RewardKind = Literal["prm", "orm"]

ScoreHead = Literal["sigmoid", "sigmoid1", "softmax1"]
"""How logits become a score: `sigmoid` of the one logit (ours); of two, `sigmoid1` of the second by itself (trained by
cross-entropy on it) or `softmax1`, the second's share (trained by squared or Huber error)."""

LABELS: dict[ScoreHead, int] = {"sigmoid": 1, "sigmoid1": 2, "softmax1": 2}
"""Logits that a head needs."""


@dataclass(frozen=True, slots=True)
class RewardFolder:
    """A reward model that a scorer may load."""

    path: Path
    weights: PolicyFolder
    """The whole model: the folder itself or, for an adapter, its base."""
    adapter: Path | None
    kind: RewardKind
    score_head: ScoreHead
    name: str
    hash: str
    prompt_hash: str

    @property
    def tokenizer(self) -> Path:
        """The folder that holds the tokenizer."""
        return self.path if (self.path / "tokenizer.json").is_file() else self.weights.path


def inspect_reward_model(
    folder: Path | str, *, score_head: ScoreHead | None = None, base: Path | str | None = None
) -> RewardFolder:
    """Check a reward model's folder and describe it.

    `score_head` is for models without a card; `base` says where an adapter's base lies, when it is not where the
    adapter remembers it. Raises `PolicyError` or `ConfigError`, which say what is wrong and what to do.
    """
    path = Path(folder).absolute()
    card = _card(path)
    adapter = path if (path / ADAPTER).is_file() else None
    weights = inspect_policy(_base_folder(path, base) if adapter else path)
    _check_prompt(path, card)
    head = _head(path, card, score_head)
    if adapter:
        _check_base(path, card, weights)
        digest = hashlib.blake2b(weights.hash.encode(), digest_size=16)
        for name in (ADAPTER, "adapter_config.json"):
            digest.update((path / name).read_bytes())
        digest.update(head.encode())
        identity = digest.hexdigest()
    else:
        if not weights.architecture.endswith("ForTokenClassification"):
            raise PolicyError(
                f"{path}: this is a {weights.architecture}, not a reward model (…ForTokenClassification). Name the "
                "folder that `meds3 train prm` wrote."
            )
        _check_labels(path, head)
        identity = weights.hash
    return RewardFolder(
        path=path,
        weights=weights,
        adapter=adapter,
        kind=card.get("role", "prm"),
        score_head=head,
        name=str(card.get("name") or path.name),
        hash=identity,
        prompt_hash=PROMPT.hash,
    )


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path / CARD}: cannot be read as JSON ({type(error).__name__}).") from None
    if not isinstance(card, dict):
        raise PolicyError(f"{path / CARD}: not a JSON object.")
    if card.get("role", "prm") not in get_args(RewardKind):
        raise PolicyError(f"{path}: its card says it is a {card['role']}, not a reward model (prm or orm).")
    return card


def _head(path: Path, card: dict[str, Any], asked: ScoreHead | None) -> ScoreHead:
    stated = card.get("score_head")
    known = ", ".join(get_args(ScoreHead))
    if stated is None:
        if asked is None:
            raise ConfigError(
                f"{path}: no {CARD} says how this model's logits are read. Give score_head: sigmoid for one label; for "
                "two, sigmoid1 if it was trained by cross-entropy on the second logit, softmax1 if by squared error."
            )
        return asked
    if stated not in get_args(ScoreHead):
        raise PolicyError(f"{path}: {CARD}: score_head must be one of {known}.")
    if asked is not None and asked != stated:
        raise ConfigError(f"{path}: its card says score_head {stated}, asked was {asked}. Leave the option out.")
    head: ScoreHead = stated
    return head


def _check_prompt(path: Path, card: dict[str, Any]) -> None:
    stated = card.get("prompt_hash")
    if stated is not None and stated != PROMPT.hash:
        raise ConfigError(
            f"{path}: trained with another prompt (hash {stated}) than this version's {PROMPT.label} "
            f"({PROMPT.hash}); its scores would mean nothing. Train it anew."
        )


def _check_labels(path: Path, head: ScoreHead) -> None:
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    names = config.get("id2label")
    # transformers leaves the names out where there are two, its default.
    count = len(names) if isinstance(names, dict) else 2
    if count != LABELS[head]:
        raise ConfigError(f"{path}: the model has {count} labels, but score_head {head} reads {LABELS[head]}.")


def _base_folder(path: Path, base: Path | str | None) -> Path:
    if base is not None:
        return Path(base)
    try:
        named = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
        folder = Path(named)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"{path}: adapter_config.json names no base ({type(error).__name__}). Give base.") from None
    if not folder.is_dir():
        raise PolicyError(f"{path}: an adapter of {named}, which is no folder here. Say where its base lies (base).")
    return folder


def _check_base(path: Path, card: dict[str, Any], base: PolicyFolder) -> None:
    stated = card.get("base")
    wanted = stated.get("hash") if isinstance(stated, dict) else None
    if wanted is not None and wanted != base.hash:
        raise PolicyError(
            f"{path}: an adapter of {stated.get('name') if isinstance(stated, dict) else '?'} (hash {wanted}), but "
            f"{base.path} is another model (hash {base.hash}). Name the base it was trained on."
        )
