"""The model folder that a run leaves: safetensors, tokenizer, generation settings, and `meds3.json`, which says how it
was made and suffices to make it again.

What differs between two runs of the same training (duration, speed) stands in `training.jsonl` beside the curve, not
in the card: a folder's hash covers the card, and the same training gives the same hash.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from meds3core.config.training import TrainConfig
from meds3core.encoding.trajectory import PROMPT
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.training.base import TrainingResult
from meds3core.training.checkpoints import sync, write_synced
from meds3core.types.record import Record

CARD = "meds3.json"
CURVE = "training.jsonl"
_PACKAGES = ("meds3-studio", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers")
_CARRIED = ("*.json", "*.jinja", "*.model", "*.txt", "LICENSE*")
_NOT_CARRIED = {CARD, "model.safetensors.index.json"}


def data_hash(records: Iterable[Record]) -> str:
    """Digest of what is trained on, order included."""
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        digest.update(record.model_dump_json().encode() + b"\n")
    return digest.hexdigest()


def run_manifest(config: TrainConfig, start: PolicyFolder, data: str) -> dict[str, Any]:
    """What makes two runs the same training."""
    return {
        "format": "meds3-training/1",
        "config": config.model_dump(mode="json"),
        "start": {"name": start.name, "hash": start.hash},
        "data": data,
        "prompt": {"name": PROMPT.label, "hash": PROMPT.hash},
    }


def model_card(name: str, start: PolicyFolder, manifest: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The content of `meds3.json`; presets are those of the start model."""
    card = _card_of(start.path)
    return {
        "name": name,
        "prompt": "plain",
        "presets": card.get("presets", {}),
        "provenance": {
            "method": manifest["config"]["method"],
            "seed": manifest["config"]["seed"],
            **manifest,
            "result": result,
            "versions": versions(),
        },
    }


def finished_result(out: Path, manifest: dict[str, Any]) -> TrainingResult | None:
    """The result of this very training when `out` holds it; None when there is no such folder or it is empty.

    Raises `ConfigError` when the folder holds anything else: model folders are never written over.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    provenance = _card_of(out).get("provenance")
    if not isinstance(provenance, dict) or any(provenance.get(key) != manifest[key] for key in manifest):
        raise ConfigError(f"{out} exists and holds something else: give another output folder, or remove it")
    return TrainingResult(model=out, seconds=_seconds(out), **provenance["result"])


def write_model_folder(
    out: Path, temporary: Path, save: Callable[[Path], None], card: dict[str, Any], curve: list[dict[str, Any]]
) -> None:
    """Write the folder under a temporary name beside the working files, sync it, then give it its name.

    `save` puts weights, configuration and tokenizer into the folder that it is given.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save(temporary)
    (temporary / CURVE).write_text("".join(json.dumps(point) + "\n" for point in curve), encoding="utf-8")
    write_synced(temporary / CARD, json.dumps(card, indent=2) + "\n")
    umask = os.umask(0)
    os.umask(umask)
    for file in temporary.rglob("*"):
        if file.is_file():
            file.chmod(0o666 & ~umask)  # safetensors writes files that only their owner may read
        sync(file)
    sync(temporary)
    temporary.rename(out)
    sync(out.parent)


def carry_files(start: Path, target: Path, *, but: tuple[str, ...] = ()) -> None:
    """Copy configuration, tokenizer, template, generation settings and licence of the start model, byte for byte.

    The trainer's own copies are replaced: a model may not change its tokenizer or end tokens by being trained.
    """
    for pattern in _CARRIED:
        for file in start.glob(pattern):
            if file.is_file() and file.name not in {*_NOT_CARRIED, *but}:
                shutil.copyfile(file, target / file.name)


def versions() -> dict[str, str]:
    """Of the libraries that decide the numbers."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _card_of(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _seconds(out: Path) -> float:
    try:
        return float(json.loads((out / CURVE).read_text(encoding="utf-8").splitlines()[-1])["seconds"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return 0.0
