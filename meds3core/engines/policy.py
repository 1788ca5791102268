"""What lies in a policy's folder, read without loading the model: is it usable, what is it, which digest has it?

Only safetensors weights and only model code of the installed library: a folder that needs unpickling or brings
Python files is refused. Imports neither torch nor transformers.
"""

import hashlib
import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meds3core.errors import PolicyError

_CHUNK = 1 << 20
_LARGEST_HEADER = 100 << 20
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_HASHED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """A folder that an engine may load."""

    path: Path
    name: str
    architecture: str
    """Class name as the configuration states it, e.g. `Qwen2ForCausalLM`."""
    context_length: int
    vocabulary: int
    dtype: str
    """How most of the parameters are stored: float32, bfloat16, float16, or the format's own name."""
    parameters: int
    parameter_bytes: int
    eos_ids: tuple[int, ...]
    """Tokens that close the model's turn; may be empty."""
    prompt: str
    """Name of the prompt the policy was made for, from the optional `meds3.json`; `guided` without one."""
    hash: str
    """Digest of the names and contents of configuration, tokenizer and weights."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What decides over a model's memory. What its configuration does not state by a name that we know is 0."""

    parameters: int
    dtype: str
    """How most of them are stored."""
    context_length: int
    vocabulary: int
    layers: int
    key_value_heads: int
    head_size: int
    hidden_size: int
    inner_size: int
    """Of the feed-forward part."""


@dataclass(frozen=True, slots=True)
class _Weights:
    parameters: int
    bytes: int
    dtype: str


def inspect_policy(folder: Path | str) -> PolicyFolder:
    """Check a model folder and describe it. Raises `PolicyError`, which says what is wrong and what to do."""
    path = Path(folder).absolute()
    if not path.is_dir():
        raise PolicyError(f"{path}: no such folder. Name the folder that holds config.json and the weights.")
    config = _read_json(path / "config.json", missing="The folder of a model holds one; is this the right folder?")
    _refuse_code(path, config)
    weights = _weights(path)
    if not any((path / name).is_file() for name in _TOKENIZER_FILES):
        raise PolicyError(f"{path}: no tokenizer (tokenizer.json). Save the model's tokenizer into the same folder.")
    text_config = config.get("text_config") if isinstance(config.get("text_config"), dict) else None
    sizes: dict[str, Any] = {**config, **(text_config or {})}
    card = _read_json(path / "meds3.json") if (path / "meds3.json").exists() else {}
    return PolicyFolder(
        path=path,
        name=str(card.get("name") or path.name),
        architecture=_architecture(path, config),
        context_length=_positive(path, sizes, "max_position_embeddings"),
        vocabulary=_positive(path, sizes, "vocab_size"),
        dtype=weights.dtype,
        parameters=weights.parameters,
        parameter_bytes=weights.bytes,
        eos_ids=_eos_ids(path, config),
        prompt=_prompt(path, card),
        hash=_hash(path),
    )


def model_size(folder: Path | str) -> ModelSize:
    """How large a model is, from its configuration and the headers of its weights. Raises `PolicyError`."""
    path = Path(folder).absolute()
    config = _read_json(path / "config.json", missing="The folder of a model holds one; is this the right folder?")
    weights = _weights(path)
    text_config = config.get("text_config") if isinstance(config.get("text_config"), dict) else None
    sizes: dict[str, Any] = {**config, **(text_config or {})}
    heads = _count(sizes, "num_attention_heads", "n_head")
    hidden = _count(sizes, "hidden_size", "n_embd")
    return ModelSize(
        parameters=weights.parameters,
        dtype=weights.dtype,
        context_length=_positive(path, sizes, "max_position_embeddings"),
        vocabulary=_positive(path, sizes, "vocab_size"),
        layers=_count(sizes, "num_hidden_layers", "n_layer"),
        key_value_heads=_count(sizes, "num_key_value_heads") or heads,
        head_size=_count(sizes, "head_dim") or (hidden // heads if heads else 0),
        hidden_size=hidden,
        inner_size=_count(sizes, "intermediate_size", "n_inner") or 4 * hidden,
    )


def _count(sizes: dict[str, Any], *names: str) -> int:
    return next((value for name in names if isinstance(value := sizes.get(name), int) and value > 0), 0)


def _read_json(path: Path, missing: str = "") -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{path.parent}: no {path.name}. {missing}".rstrip()) from None
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path}: cannot be read as JSON ({type(error).__name__}). Save the model anew.") from None
    if not isinstance(content, dict):
        raise PolicyError(f"{path}: not a JSON object. Save the model anew.")
    return content


def _refuse_code(path: Path, config: dict[str, Any]) -> None:
    advice = "Code from a model folder is never run; use a model whose class the installed transformers library has."
    tokenizer_path = path / "tokenizer_config.json"
    tokenizer = _read_json(tokenizer_path) if tokenizer_path.exists() else {}
    for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if "auto_map" in content:
            raise PolicyError(f"{path}: {name} asks for code of its own (auto_map). {advice}")
    scripts = sorted(file.name for file in path.glob("*.py"))
    if scripts:
        raise PolicyError(f"{path}: holds Python code ({scripts[0]}). {advice} Remove the file if it is not needed.")


def _weights(path: Path) -> _Weights:
    index_path = path / "model.safetensors.index.json"
    if index_path.exists():
        names = _read_json(index_path).get("weight_map")
        if not isinstance(names, dict) or not names or not all(isinstance(n, str) for n in names.values()):
            raise PolicyError(f"{index_path}: no weight_map. Save the model anew.")
        files = [path / name for name in sorted(set(names.values()))]
        for file in files:
            if file.parent != path or not file.is_file():
                raise PolicyError(f"{path}: {file.name}, named in the index, is missing. Copy all parts of the model.")
    else:
        files = sorted(path.glob("*.safetensors"))
        if any(file.name == "adapter_model.safetensors" for file in files):
            raise PolicyError(f"{path}: this is an adapter, not a model. Merge it into its base, or name the base.")
        if not files:
            pickled = sorted(file.name for pattern in _PICKLED for file in path.glob(pattern))
            if pickled:
                raise PolicyError(
                    f"{path}: only pickled weights ({pickled[0]}); opening them could run code. Convert them to "
                    "safetensors (save_pretrained does so) and remove the old file."
                )
            raise PolicyError(f"{path}: no weights (model.safetensors). Copy them into the folder.")
    count, size, by_dtype = 0, 0, dict[str, int]()
    for file in files:
        for dtype, items in _tensors(file):
            count += items
            size += items * _ITEM_BYTES[dtype]
            by_dtype[dtype] = by_dtype.get(dtype, 0) + items
    if not count:
        raise PolicyError(f"{path}: the weight files hold no tensor. Save the model anew.")
    main = max(by_dtype, key=lambda name: by_dtype[name])
    return _Weights(count, size, _DTYPE_NAMES.get(main, main))


def _tensors(file: Path) -> list[tuple[str, int]]:
    """(dtype, number of items) of each tensor, from the header; checks that the file is as long as it says."""
    broken = "the file is damaged or was cut off in copying. Copy it again."
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise PolicyError(f"{file}: not a safetensors file, or {broken}")
            header = json.loads(stream.read(length))
        tensors, end = [], 0
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
            items = math.prod(shape)
            if dtype not in _ITEM_BYTES:
                raise PolicyError(f"{file}: tensor type {dtype} is not supported. Save the model in bfloat16.")
            if stop - begin != items * _ITEM_BYTES[dtype] or min(begin, items) < 0:
                raise PolicyError(f"{file}: sizes in the header disagree: {broken}")
            tensors.append((dtype, items))
            end = max(end, stop)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PolicyError(f"{file}: unreadable header ({type(error).__name__}): {broken}") from None
    if size != 8 + length + end:
        raise PolicyError(f"{file}: {size} bytes where the header says {8 + length + end}: {broken}")
    return tensors


def _architecture(path: Path, config: dict[str, Any]) -> str:
    names = config.get("architectures")
    if isinstance(names, list) and len(names) == 1 and isinstance(names[0], str):
        return names[0]
    raise PolicyError(f"{path}: config.json names no single model class (architectures). Save the model anew.")


def _positive(path: Path, config: dict[str, Any], field: str) -> int:
    value = config.get(field)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise PolicyError(f"{path}: config.json has no positive {field}. Is this a language model?")


def _eos_ids(path: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """From generation_config.json, else config.json, else the tokenizer's own end token."""
    generation_path = path / "generation_config.json"
    sources = [_read_json(generation_path)] if generation_path.exists() else []
    for source in (*sources, config):
        value = source.get("eos_token_id")
        ids = value if isinstance(value, list) else [value]
        found = tuple(i for i in ids if isinstance(i, int) and not isinstance(i, bool) and i >= 0)
        if found:
            return found
    tokenizer_path = path / "tokenizer_config.json"
    token = _read_json(tokenizer_path).get("eos_token") if tokenizer_path.exists() else None
    content = token.get("content") if isinstance(token, dict) else token
    if content is not None and (path / "tokenizer.json").is_file():
        for entry in _read_json(path / "tokenizer.json").get("added_tokens") or []:
            if isinstance(entry, dict) and entry.get("content") == content and isinstance(entry.get("id"), int):
                return (entry["id"],)
    return ()


def _prompt(path: Path, card: dict[str, Any]) -> str:
    prompt = card.get("prompt", "guided")
    if prompt not in ("plain", "guided"):
        raise PolicyError(f"{path}: meds3.json: prompt must be plain or guided.")
    return str(prompt)


def _hash(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted({file for pattern in _HASHED for file in path.glob(pattern) if file.is_file()}):
        digest.update(f"{len(file.name)}:{file.name}:{file.stat().st_size}:".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
