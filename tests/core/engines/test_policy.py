import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from meds3core.engines.policy import inspect_policy
from meds3core.errors import PolicyError
from tests.core.engines.tiny import CONTEXT, write_policy


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tiny"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_describes_a_policy(folder: Path) -> None:
    policy = inspect_policy(folder)
    assert (policy.name, policy.architecture, policy.context_length) == ("tiny", "Qwen2ForCausalLM", CONTEXT)
    assert policy.dtype == "float32"
    assert policy.parameter_bytes == 4 * policy.parameters > 0
    assert policy.eos_ids == (1,)
    assert policy.prompt == "guided"


def test_reads_its_card(folder: Path) -> None:
    (folder / "meds3.json").write_text('{"prompt": "plain", "name": "clinic"}')
    policy = inspect_policy(folder)
    assert (policy.prompt, policy.name) == ("plain", "clinic")


def test_the_hash_covers_weights_configuration_and_tokenizer_but_not_the_place(folder: Path, original: Path) -> None:
    assert inspect_policy(folder).hash == inspect_policy(original).hash
    seen = {inspect_policy(folder).hash}
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text((folder / name).read_text() + " ")
        seen.add(inspect_policy(folder).hash)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    seen.add(inspect_policy(folder).hash)
    assert len(seen) == 4


def test_files_may_be_links_as_in_a_hub_cache(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert inspect_policy(folder).parameters > 0


def test_weights_in_parts(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(PolicyError, match=r"model-00002-of-00002\.safetensors.*missing"):
        inspect_policy(folder)
    shutil.copy(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors")
    assert inspect_policy(folder).parameters > 0


def test_refuses_an_index_that_points_outside(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "model.safetensors", tmp_path / "model.safetensors")
    index = {"weight_map": {"a": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(PolicyError):
        inspect_policy(folder)


def test_refuses_what_is_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such folder"):
        inspect_policy(tmp_path / "nowhere")
    for name, words in (
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
        ("config.json", r"no config\.json"),
    ):
        (folder / name).unlink()
        with pytest.raises(PolicyError, match=words):
            inspect_policy(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_refuses_pickled_weights(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(PolicyError, match=rf"pickled weights \({name}\)"):
        inspect_policy(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_refuses_remote_code(folder: Path, name: str) -> None:
    edit(folder / name, auto_map={"AutoModelForCausalLM": "modeling.Model"})
    with pytest.raises(PolicyError, match="auto_map"):
        inspect_policy(folder)


def test_refuses_python_files(folder: Path) -> None:
    (folder / "modeling.py").write_text("raise SystemExit\n")
    with pytest.raises(PolicyError, match=r"modeling\.py"):
        inspect_policy(folder)


def test_refuses_an_adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(PolicyError, match="adapter"):
        inspect_policy(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 2) + b"{]",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 10) + b'{"a": 123}',
    ],
)
def test_refuses_damaged_weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(PolicyError):
        inspect_policy(folder)


def test_refuses_weights_cut_off_in_copying(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(PolicyError, match="cut off"):
        inspect_policy(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '"' + "[" * 50_000, "[" * 50_000])
def test_refuses_a_damaged_configuration(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(PolicyError, match=r"config\.json"):
        inspect_policy(folder)


@pytest.mark.parametrize(
    "changes",
    [{"architectures": None}, {"max_position_embeddings": "many"}, {"vocab_size": 0}, {"vocab_size": True}],
)
def test_refuses_a_configuration_without_the_essentials(folder: Path, changes: dict[str, object]) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(PolicyError):
        inspect_policy(folder)


def test_end_tokens_come_from_the_most_specific_place(folder: Path) -> None:
    edit(folder / "generation_config.json", eos_token_id=[1, 0])
    assert inspect_policy(folder).eos_ids == (1, 0)
    (folder / "generation_config.json").unlink()
    edit(folder / "config.json", eos_token_id=None)
    assert inspect_policy(folder).eos_ids == (1,)


def test_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, meds3core.engines.policy; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
