"""What a model's folder from elsewhere may hold: every refusal names the file and the rule."""

import json
import os
import shutil
import socket
import struct

import pytest

from meds3core.models.screen import ModelRefused, name_allowed, screen_content, screen_names
from meds3core.sandbox.bundled import policy_folder

ADAPTER = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"], "megatron_core": "megatron.core"}


@pytest.fixture
def folder(tmp_path):
    """A whole model that passes."""
    made = tmp_path / "model"
    shutil.copytree(policy_folder(), made)
    screen_names(made)
    screen_content(made)
    return made


def safetensors(path, header, data=b"", *, length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("pytorch_model.bin", "pickled"),
        ("training_args.bin", "pickled"),
        ("weights.PT", "pickled"),
        ("modeling_evil.py", "code"),
        ("run.sh", "code"),
        ("model.tar", "archive"),
        ("model.zip", "archive"),
        ("../config.json", "no path"),
        ("a\\b.json", "no path"),
        ("..", "no path"),
        ("evil.json", "no file of a model"),
        ("model-1.safetensors", "no file of a model"),
        ("consolidated.safetensors", "no file of a model"),
        ("config.json\n", "no file of a model"),
        ("", "no path"),
    ],
)
def test_names_that_are_refused(name, rule):
    with pytest.raises(ModelRefused, match=rule) as refused:
        name_allowed(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [".gitattributes", "USE_POLICY.md", "figure.png", "ACCEPTABLE_USE"])
def test_names_of_no_use_are_left_out(folder, name):
    (folder / name).touch()
    (folder / "onnx").mkdir()
    found = screen_names(folder)
    assert set(found.left_out) == {name, "onnx"} and "model.safetensors" in found.taken


def test_links_devices_pipes_and_sockets_are_refused(folder, tmp_path):
    place = folder / "tokenizer.json"
    place.unlink()
    target = shutil.copy(policy_folder() / "tokenizer.json", tmp_path)
    place.symlink_to(target)
    with pytest.raises(ModelRefused, match=r"tokenizer\.json: a link"):
        screen_names(folder)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(ModelRefused, match=r"tokenizer\.json: no plain file"):
        screen_names(folder)
    place.unlink()
    try:
        os.mknod(place, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
    with pytest.raises(ModelRefused, match=r"tokenizer\.json: no plain file"):
        screen_names(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_part_that_is_missing_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelRefused, match=f"{name}: missing"):
        screen_names(folder)


def test_sizes_are_bounded(folder):
    with pytest.raises(ModelRefused, match="may come in"):
        screen_names(folder, most_bytes=1000)
    with (folder / "config.json").open("ab") as file:
        file.truncate(2 << 20)
    with pytest.raises(ModelRefused, match=r"config\.json: 2,097,152 bytes"):
        screen_names(folder)


@pytest.mark.parametrize(
    ("header", "data", "rule"),
    [
        ({"a": tensor(0, 8, [3])}, b"\0" * 8, "offsets do not fit its shape"),
        ({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, b"\0" * 12, "overlap"),
        ({"a": tensor(4, 12, [2])}, b"\0" * 12, "hole"),
        ({"a": tensor(0, 8, [2])}, b"\0" * 6, "cut off"),
        ({"a": tensor(0, 8, [2])}, b"\0" * 20, "padded"),
        ({"a": tensor(8, 0, [-2])}, b"\0" * 8, "no counts"),
        ({"a": tensor(0, 8, [True, 2])}, b"\0" * 8, "no counts"),
        ({"a": tensor(0, 8, [2], "P64")}, b"\0" * 8, "type that is not supported"),
        ({"a": tensor(0, 4, [1] * 9)}, b"\0" * 4, "not as it should be"),
        ({"a": tensor(0, 8, "xx")}, b"\0" * 8, "not as it should be|no counts"),
        ({"a": {"dtype": "F32", "shape": [2]}}, b"\0" * 8, "without dtype"),
        ({"a": {**tensor(0, 8, [2]), "code": "x"}}, b"\0" * 8, "not as it should be"),
        ({"a": tensor(0, 8, [2]), "__metadata__": {"x": {}}}, b"\0" * 8, "more than text"),
        ({}, b"", "0 tensors"),
        (b"[1, 2]", b"", "not a JSON object"),
        (b'{"a": 1, "a": 2}', b"", "cannot be read as JSON"),
        (b"\xff\xfe\xfd\xfc", b"", "cannot be read as JSON"),
    ],
)
def test_headers_of_weights(folder, header, data, rule):
    safetensors(folder / "model.safetensors", header, data)
    with pytest.raises(ModelRefused, match=rule) as refused:
        screen_content(folder)
    assert str(refused.value).startswith("model.safetensors: ")


def test_a_huge_header_is_not_read(folder):
    safetensors(folder / "model.safetensors", b"{}", length=1 << 60)
    with pytest.raises(ModelRefused, match="longer than the file"):
        screen_content(folder)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 40 << 20))
        file.truncate(50 << 20)
    with pytest.raises(ModelRefused, match="a header of 41,943,040 bytes"):
        screen_content(folder)


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\x1f\x8b\x08\0", b"ustar", b"\x80\x02}q\0."])
def test_an_archive_or_a_pickle_under_another_name_is_no_model(folder, magic):
    (folder / "model.safetensors").write_bytes(magic + b"\xff" * 600)
    with pytest.raises(ModelRefused, match="no safetensors file"):
        screen_content(folder)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil--x.Model"}}, "auto_map"),
        ("config.json", {"text_config": {"auto_map": {"AutoConfig": "x.C"}}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.T", None]}}, "auto_map"),
        ("generation_config.json", [], "not a JSON object"),
        ("config.json", "{", "cannot be read"),
        ("config.json", "[" * 100_000, "cannot be read"),
    ],
)
def test_settings_that_ask_for_code_or_are_none(folder, name, content, rule):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ModelRefused, match=rule) as refused:
        screen_content(folder)
    assert str(refused.value).startswith(name)


@pytest.mark.parametrize("name", ["num_hidden_layers", "vocab_size", "intermediate_size", "hidden_size"])
def test_a_configuration_that_builds_more_than_the_weights_hold(folder, name):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: 200_000}))
    with pytest.raises(ModelRefused, match=rf"config\.json: .*{name}"):
        screen_content(folder)


def test_an_index_names_what_is_there(folder):
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text("{}")
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    safetensors(folder / parts[0], {"a": tensor(0, 8, [2])}, b"\0" * 8)
    safetensors(folder / parts[1], {"b": tensor(0, 8, [2])}, b"\0" * 8)
    index = folder / "model.safetensors.index.json"

    def refused(weight_map, rule):
        index.write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(ModelRefused, match=rule):
            screen_content(folder)

    index.write_text(json.dumps({"weight_map": {"a": parts[0], "b": parts[1]}}))
    screen_content(folder)
    refused({"a": parts[0]}, f"{parts[1]}: holds other tensors")
    refused({"a": parts[1], "b": parts[0]}, "holds other tensors")
    refused({"a": parts[0], "b": "../../etc/shadow"}, "named in .* but not there")
    refused({}, "no weight_map")
    index.unlink()
    with pytest.raises(ModelRefused, match="there is no model"):
        screen_content(folder)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"peft_type": "IA3"}, "only LoRA"),
        ({"megatron_config": {"x": 1}, "megatron_core": "os"}, "megatron_config has a value"),
        ({"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}}, "auto_mapping has a value"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights"),
    ],
)
def test_settings_of_an_adapter(tmp_path, changes, rule):
    safetensors(tmp_path / "adapter_model.safetensors", {"a": tensor(0, 8, [2])}, b"\0" * 8)
    (tmp_path / "adapter_config.json").write_text(json.dumps(ADAPTER))
    screen_names(tmp_path)
    screen_content(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps(ADAPTER | changes))
    with pytest.raises(ModelRefused, match=rule):
        screen_content(tmp_path)
