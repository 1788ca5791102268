"""What may be in a model's folder that comes from elsewhere, decided before anything of it is loaded.

First by name and kind of file (`screen_names`), which opens nothing; then by content (`screen_content`): JSON within
bounds and without a word about code, safetensors whose headers account for every byte, an index that names what is
there. Every refusal says which file and which rule.
"""

import json
import math
import re
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meds3core.errors import UserError

MOST_FILES = 512
MOST_HEADER_BYTES = 32 << 20
MOST_TENSORS = 200_000
_MOST_DIMENSIONS = 8
_MOST_DEPTH = 64

_JSON_BYTES = 128 << 20
"""Of the largest known tokenizers, 40 MB."""
_TEXT_BYTES = 64 << 20
_TEMPLATE_BYTES = 1 << 20

KNOWN: Mapping[str, int] = {
    **dict.fromkeys(("config.json", "generation_config.json", "adapter_config.json", "meds3.json"), 1 << 20),
    **dict.fromkeys(("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"), 16 << 20),
    **dict.fromkeys(("tokenizer.json", "vocab.json", "model.safetensors.index.json"), _JSON_BYTES),
    **dict.fromkeys(("merges.txt", "vocab.txt", "tokenizer.model"), _TEXT_BYTES),
    **dict.fromkeys(("chat_template.jinja", "chat_template.json"), _TEMPLATE_BYTES),
    **dict.fromkeys(("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"), 4 << 20),
    "training.jsonl": 64 << 20,
}
"""The files of a model and how large each may be; weights may be as large as the import allows."""

FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""Of a folder that may be picked by its name."""

_WEIGHTS = re.compile(r"(model|adapter_model|model-\d{5}-of-\d{5})\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".msgpack", ".joblib")
_CODE = (".py", ".pyc", ".so", ".sh", ".ipynb", ".dll")
_PACKED = (".tar", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".zst", ".rar")
_OF_NO_USE = re.compile(r"(\..*|.*\.(md|txt|pdf|png|jpe?g|svg|gif|csv|ya?ml|gguf|onnx)|[A-Z_]+)")

_ITEM_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 8),
}

_LORA_KEYS = frozenset(
    {
        *("peft_type", "task_type", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "bias"),
        *("r", "target_modules", "exclude_modules", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_alpha"),
        *("lora_dropout", "fan_in_fan_out", "use_rslora", "use_dora", "init_lora_weights", "lora_bias"),
        *("layers_to_transform", "layers_pattern", "trainable_token_indices", "qalora_group_size", "megatron_core"),
    }
)
"""Settings of an adapter that may have a value. `megatron_core` is a default that nothing reads by itself."""


class ModelRefused(UserError):
    """A file breaks a rule for models that come from elsewhere. The message names the file and the rule."""

    code = "model-refused"


@dataclass(frozen=True, slots=True)
class Screened:
    """Which files of a folder belong to the model, and which are left where they are."""

    taken: tuple[str, ...]
    left_out: tuple[str, ...]
    bytes: int


# --- names and kinds -----------------------------------------------------------------------------------------------


def screen_names(folder: Path, *, most_bytes: int | None = None) -> Screened:
    """Which files may be taken from a folder, judged without opening one. Folders inside it are not entered.

    Raises `ModelRefused` for a link, a device, a name that is none of a model's, a file that is too large.
    """
    taken, left_out, total = [], [], 0
    names = sorted(path.name for path in folder.iterdir())
    if len(names) > MOST_FILES:
        raise ModelRefused(f"The folder holds {len(names):,} entries; a model has {MOST_FILES} at most.")
    for name in names:
        status = (folder / name).lstat()
        if stat.S_ISLNK(status.st_mode):
            raise ModelRefused(f"{_shown(name)}: a link. Links are not followed; put the file itself there.")
        if stat.S_ISDIR(status.st_mode):
            left_out.append(name)
            continue
        if not stat.S_ISREG(status.st_mode):
            raise ModelRefused(f"{_shown(name)}: no plain file (a device, a pipe or a socket).")
        if not name_allowed(name, status.st_size):
            left_out.append(name)
            continue
        taken.append(name)
        total += status.st_size
    if most_bytes is not None and total > most_bytes:
        raise ModelRefused(f"The model has {total:,} bytes; {most_bytes:,} may come in. An operator sets the limit.")
    _has_parts(taken)
    return Screened(tuple(taken), tuple(left_out), total)


def name_allowed(name: str, size: int = 0) -> bool:
    """Whether a file of this name belongs to a model; False: it is of no use and harmless. Raises `ModelRefused`."""
    lowered = name.lower()
    if "/" in name or "\\" in name or name in ("", ".", "..") or "\0" in name:
        raise ModelRefused(f"{_shown(name)}: a file name holds no path.")
    if lowered.endswith(_PICKLED):
        raise ModelRefused(
            f"{_shown(name)}: pickled or foreign weights; opening them could run code. Only safetensors come in: "
            "convert the model (save_pretrained writes safetensors) and leave this file out."
        )
    if lowered.endswith(_CODE):
        raise ModelRefused(f"{_shown(name)}: code. Code that comes with a model is never run; leave the file out.")
    if lowered.endswith(_PACKED):
        raise ModelRefused(f"{_shown(name)}: an archive. Unpack it and import the files.")
    if _WEIGHTS.fullmatch(name):
        return True
    if name in KNOWN:
        if size > KNOWN[name]:
            raise ModelRefused(f"{name}: {size:,} bytes; such a file has {KNOWN[name]:,} at most.")
        return True
    if _OF_NO_USE.fullmatch(name) and FOLDER_NAME.fullmatch(name.lstrip(".") or "x"):
        return False
    raise ModelRefused(f"{_shown(name)}: no file of a model by its name. Leave it out. Known are {', '.join(KNOWN)}.")


def _has_parts(names: Iterable[str]) -> None:
    held = set(names)
    adapter = "adapter_model.safetensors" in held
    if adapter and "adapter_config.json" not in held:
        raise ModelRefused("adapter_config.json: missing. An adapter has one beside adapter_model.safetensors.")
    if adapter and any(name.startswith("model") and name.endswith(".safetensors") for name in held):
        raise ModelRefused("adapter_model.safetensors: beside a whole model. Import the one or the other.")
    if adapter:
        return
    if "config.json" not in held:
        raise ModelRefused("config.json: missing. The folder of a model holds one; is this the right folder?")
    if "model.safetensors" not in held and "model.safetensors.index.json" not in held:
        raise ModelRefused("model.safetensors: missing, and there is no index of parts. Add the weights.")
    if not held & {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"}:
        raise ModelRefused("tokenizer.json: missing. Save the model's tokenizer into the same folder.")


# --- content -------------------------------------------------------------------------------------------------------


def screen_content(folder: Path) -> None:
    """Check what is in the files that `screen_names` let through. Raises `ModelRefused`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for name in names:
        if name.endswith(".json"):
            _screen_json(folder / name)
        elif name.endswith((".txt", ".md", ".jinja", ".jsonl")):
            _read_text(folder / name)
    tensors = {name: screen_weights(folder / name) for name in names if name.endswith(".safetensors")}
    if "config.json" in names and "adapter_model.safetensors" not in names:
        items = sum((folder / name).stat().st_size for name in tensors)
        _screen_sizes(_read_json(folder / "config.json"), sum(map(len, tensors.values())), items)
    if "adapter_config.json" in names:
        _screen_adapter(_read_json(folder / "adapter_config.json"))
    if "model.safetensors.index.json" in names:
        _screen_index(_read_json(folder / "model.safetensors.index.json"), tensors)
    else:
        parts = [name for name in tensors if name.startswith("model-")]
        if parts:
            raise ModelRefused(f"{parts[0]}: a part, but there is no model.safetensors.index.json that names it.")


def screen_weights(path: Path) -> frozenset[str]:
    """The names of a safetensors file's tensors, once its header accounts for every byte. Raises `ModelRefused`."""
    name, size = path.name, path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= size - 8:
            raise ModelRefused(f"{name}: no safetensors file, or cut off: its header would be longer than the file.")
        if length > MOST_HEADER_BYTES:
            raise ModelRefused(f"{name}: a header of {length:,} bytes; {MOST_HEADER_BYTES:,} at most.")
        header = _parsed(name, stream.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise ModelRefused(f"{name}: __metadata__ holds more than text.")
    if not header or len(header) > MOST_TENSORS:
        raise ModelRefused(f"{name}: {len(header):,} tensors; 1 to {MOST_TENSORS:,} may be in a file.")
    spans = sorted(_span(name, tensor, entry) for tensor, entry in header.items())
    at = 0
    for begin, end in spans:
        if begin != at:
            raise ModelRefused(f"{name}: tensors overlap or leave a hole at byte {min(begin, at):,} of the data.")
        at = end
    if at != size - 8 - length:
        raise ModelRefused(
            f"{name}: {size:,} bytes where its header accounts for {8 + length + at:,}: cut off or padded."
        )
    return frozenset(header)


def _span(name: str, tensor: str, entry: Any) -> tuple[int, int]:
    try:
        bits, shape, offsets = _ITEM_BITS.get(entry["dtype"]), entry["shape"], entry["data_offsets"]
        keys = set(entry)
    except (TypeError, KeyError):
        raise ModelRefused(f"{name}: a tensor without dtype, shape or data_offsets.") from None
    if bits is None:
        raise ModelRefused(f"{name}: a tensor of a type that is not supported. Save the model in bfloat16 or float32.")
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [-1]
    if keys != {"dtype", "shape", "data_offsets"} or len(shape) > _MOST_DIMENSIONS or len(offsets) != 2:
        raise ModelRefused(f"{name}: the header of a tensor is not as it should be.")
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in numbers):
        raise ModelRefused(f"{name}: a tensor's shape or offsets are no counts.")
    begin, end = offsets
    if end - begin != math.prod(shape) * bits // 8:
        raise ModelRefused(f"{name}: a tensor's offsets do not fit its shape.")
    return begin, end


def _screen_sizes(config: dict[str, Any], tensors: int, most_items: int) -> None:
    """A configuration that would build far more than the weights hold would take the machine's memory and hours."""
    inner = config.get("text_config")
    sizes = {**config, **(inner if isinstance(inner, dict) else {})}

    def size(name: str) -> int:
        value = sizes.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    for name in ("num_hidden_layers", "num_experts", "num_local_experts", "n_routed_experts"):
        if size(name) > tensors:
            raise ModelRefused(f"config.json: {name} is {size(name):,}, but the weights hold {tensors:,} tensors.")
    for name in ("vocab_size", "intermediate_size", "hidden_size"):
        if size(name) > most_items:
            raise ModelRefused(f"config.json: {name} is {size(name):,}, more than the weights hold in all.")
    for name in ("vocab_size", "intermediate_size"):
        if size(name) * size("hidden_size") > most_items:
            raise ModelRefused(f"config.json: {name} × hidden_size is more than the weights hold in all.")


def _screen_index(index: dict[str, Any], tensors: Mapping[str, frozenset[str]]) -> None:
    file = "model.safetensors.index.json"
    stated = index.get("weight_map")
    if not isinstance(stated, dict) or not stated or not all(isinstance(each, str) for each in stated.values()):
        raise ModelRefused(f"{file}: no weight_map.")
    by_file: dict[str, set[str]] = {}
    for tensor, part in stated.items():
        by_file.setdefault(part, set()).add(tensor)
    for part in sorted(by_file):
        if part not in tensors:
            raise ModelRefused(f"{_shown(part)}: named in {file}, but not there. Copy all parts of the model.")
    for part, held in sorted(tensors.items()):
        if held != by_file.get(part, set()):
            raise ModelRefused(f"{part}: holds other tensors than {file} says.")


def _screen_adapter(settings: dict[str, Any]) -> None:
    file = "adapter_config.json"
    if settings.get("peft_type") != "LORA":
        raise ModelRefused(f"{file}: only LoRA adapters come in.")
    odd = [key for key, value in settings.items() if value and key not in _LORA_KEYS]
    if odd:
        raise ModelRefused(f"{file}: {_shown(min(odd))} has a value; adapters with it are not taken.")
    if not isinstance(settings.get("init_lora_weights", True), bool) and settings["init_lora_weights"] != "gaussian":
        raise ModelRefused(f"{file}: init_lora_weights must be true, false or gaussian.")


def _screen_json(path: Path) -> None:
    content = _read_json(path)
    if path.name in ("tokenizer.json", "vocab.json", "model.safetensors.index.json"):
        return  # words of a vocabulary are not settings
    if _mentions(content, "auto_map") or _mentions(content, "custom_pipelines"):
        raise ModelRefused(
            f"{path.name}: asks for code of its own (auto_map). Code that comes with a model is never run."
        )


def _mentions(value: Any, key: str, depth: int = 0) -> bool:
    if depth > _MOST_DEPTH:
        return True
    if isinstance(value, dict):
        return bool(value.get(key)) or any(_mentions(each, key, depth + 1) for each in value.values())
    return isinstance(value, list) and any(_mentions(each, key, depth + 1) for each in value)


def _read_json(path: Path) -> dict[str, Any]:
    return _parsed(path.name, path.read_bytes())


def _parsed(name: str, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{name}: cannot be read as JSON ({type(error).__name__}).") from None
    if not isinstance(content, dict):
        raise ModelRefused(f"{name}: not a JSON object.")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelRefused(f"{path.name}: no text (UTF-8).") from None


def _shown(name: str) -> str:
    """A name from elsewhere, short and without control characters."""
    return repr(name)[1:-1][:80] or "(no name)"
