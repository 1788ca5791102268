"""Adapters: what is frozen stays, merging changes nothing, an adapter goes on no other base."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError, PolicyError
from meds3core.training.models import ADAPTER, load_adapted, write_merged
from meds3core.training.sft import train_sft
from tests.core.training.tiny import Remembering, make_examples, same_weights, sft_config, weights, write_policy

LORA = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "down_proj"]}
IDS = torch.tensor([[0, 5, 9, 30, 77, 12, 200, 31]])


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.fixture(scope="module")
def merged(policy, tmp_path_factory):
    out = tmp_path_factory.mktemp("merged") / "model"
    sink = Remembering()
    train_sft(policy, make_examples(8), sft_config(lora=LORA), out, sink=sink)
    return out, sink


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_only_the_named_modules_change(policy, merged):
    before, after = weights(policy), weights(merged[0])
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "q_proj" in name or "down_proj" in name}


def test_only_the_adapter_is_trained(merged):
    started = merged[1].events[0].data
    assert 0 < started["trainable"] < 0.1 * started["parameters"]


def test_merging_changes_no_output(policy, merged):
    whole = AutoModelForCausalLM.from_pretrained(merged[0])
    adapted = load_adapted(policy, merged[0] / ADAPTER)
    torch.testing.assert_close(logits(whole), logits(adapted), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(whole), logits(AutoModelForCausalLM.from_pretrained(policy)), atol=1e-3)


def test_an_adapter_that_is_not_merged_stands_alone_and_names_its_base(policy, merged, tmp_path):
    out = tmp_path / "model"
    train_sft(policy, make_examples(8), sft_config(lora=LORA | {"merge": False}), out)
    torch.testing.assert_close(
        logits(load_adapted(policy, out)), logits(AutoModelForCausalLM.from_pretrained(merged[0])), atol=1e-5, rtol=1e-5
    )
    base = json.loads((out / "meds3.json").read_text())["base"]
    assert base == {"name": policy.name, "hash": inspect_policy(policy).hash}
    assert not (out / "model.safetensors").exists()
    with pytest.raises(PolicyError, match="adapter, not a model"):
        inspect_policy(out)


def test_a_base_and_its_adapter_become_the_whole_model_that_training_would_have_written(policy, merged, tmp_path):
    write_merged(policy, merged[0] / ADAPTER, tmp_path / "whole")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    torch.testing.assert_close(logits(whole), logits(AutoModelForCausalLM.from_pretrained(merged[0])))
    assert inspect_policy(tmp_path / "whole").dtype == inspect_policy(merged[0]).dtype


def test_an_adapter_of_another_base_is_refused(merged, tmp_path):
    other = write_policy(tmp_path / "other", seed=1)
    with pytest.raises(PolicyError, match="trained on another base"):
        load_adapted(other, merged[0] / ADAPTER)


def test_an_adapter_that_does_not_name_its_base_is_refused(policy, merged, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for file in (merged[0] / ADAPTER).iterdir():
        if file.name != "meds3.json":
            (adapter / file.name).write_bytes(file.read_bytes())
    with pytest.raises(PolicyError, match="names its base"):
        load_adapted(policy, adapter)


def test_no_path_of_this_machine_is_written(policy, merged):
    for file in merged[0].rglob("*.json"):
        assert str(policy.parent) not in file.read_text()


def test_modules_that_cannot_be_adapted_are_refused(policy, tmp_path):
    with pytest.raises(ConfigError, match="lm_head"):
        train_sft(policy, make_examples(4), sft_config(lora=LORA | {"target_modules": ["lm_head"]}), tmp_path / "model")
    with pytest.raises(ConfigError, match="nothing_like_it"):
        train_sft(
            policy,
            make_examples(4),
            sft_config(lora=LORA | {"target_modules": ["nothing_like_it"]}),
            tmp_path / "other",
        )


def test_all_linear_is_every_matrix_inside_the_blocks(policy, tmp_path):
    train_sft(policy, make_examples(4), sft_config(epochs=1, lora={"rank": 2, "alpha": 4}), tmp_path / "model")
    before, after = weights(policy), weights(tmp_path / "model")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "_proj" in name}


def test_the_same_seed_gives_the_same_adapter(policy, merged, tmp_path):
    train_sft(policy, make_examples(8), sft_config(lora=LORA), tmp_path / "model")
    assert same_weights(tmp_path / "model", merged[0])
