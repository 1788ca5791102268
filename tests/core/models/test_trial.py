"""Models from elsewhere are loaded once and asked: what works is described, what does not says why."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from meds3core.errors import UserError
from meds3core.models.trial import TrialRequest, try_model
from meds3core.sandbox.bundled import policy_folder
from tests.core.engines.tiny_llama import save_adapter
from tests.core.prm.tiny import write_prm


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(policy_folder(), tmp_path / "model")


def change(folder, *, config=None, **tensors):
    """Other settings, other tensors (None: gone)."""
    weights = {name: each for name, each in load_file(folder / "model.safetensors").items()} | tensors
    held = {name: each.contiguous() for name, each in weights.items() if each is not None}
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stated | (config or {})))


def tried(folder, role="policy", **others):
    return try_model(TrialRequest(folder=str(folder), role=role, **others))


def test_a_policy_is_described_and_asked(folder):
    found = tried(folder)
    assert (found.facts.architecture, found.facts.max_positions, found.facts.prompt) == (
        "LlamaForCausalLM",
        4096,
        "plain",
    )
    assert "log-probabilities of" in found.checks[0] and found.checks[1].startswith("wrote ")


def test_parts_with_an_index_are_one_model(folder):
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    (folder / "model.safetensors").unlink()
    where = {}
    for number, part in enumerate((names[:9], names[9:]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert tried(folder).facts.parameters == 1547136


@pytest.mark.parametrize(("role", "scores"), [("prm", 4), ("orm", 1)])
def test_a_reward_model_scores_a_trajectory(tmp_path, role, scores):
    (told,) = tried(write_prm(tmp_path / "prm", role=role), role).checks
    assert "scores a trajectory of 4 steps" in told and told.count("0.") + told.count("1.") == scores


def test_an_adapter_is_tried_on_its_base(tmp_path):
    save_adapter(policy_folder(), tmp_path / "adapter", tmp_path / "merged")
    found = tried(tmp_path / "adapter", base=str(policy_folder()))
    assert (found.facts.adapter_rank, found.facts.adapter_of) == (8, tried(policy_folder()).facts.hash)


def test_an_adapter_of_a_model_of_another_shape_is_refused(tmp_path):
    from tests.core.engines.tiny_llama import save_policy

    (tmp_path / "other").mkdir()
    save_policy(tmp_path / "other")
    save_adapter(tmp_path / "other", tmp_path / "adapter", tmp_path / "merged")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: transformers cannot load it"):
        tried(tmp_path / "adapter", base=str(policy_folder()))


def test_weights_that_are_no_numbers(folder, tmp_path):
    norm = load_file(folder / "model.safetensors")["model.norm.weight"]
    change(folder, **{"model.norm.weight": norm * float("nan")})
    with pytest.raises(UserError, match=r"model\.safetensors: the model's outputs are not finite"):
        tried(folder)
    prm = write_prm(tmp_path / "prm")
    change(prm, **{"score.weight": load_file(prm / "model.safetensors")["score.weight"] * float("inf")})
    with pytest.raises(UserError, match="not finite"):
        tried(prm, "prm")


def test_weights_that_lack_a_tensor(folder):
    change(folder, **{"model.norm.weight": None})
    with pytest.raises(UserError, match=r"the weights lack model\.norm\.weight"):
        tried(folder)


def test_a_tokenizer_of_another_model(folder):
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change(folder, config={"vocab_size": 100}, **{"model.embed_tokens.weight": embedding[:100].clone()})
    with pytest.raises(UserError, match="tokenizer: writes token"):
        tried(folder)


@pytest.mark.parametrize(
    "template", ["{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% for m in %}", "{{ raise_exception('no') }}"]
)
def test_a_template_that_the_sandbox_refuses(folder, template):
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match="chat template: the sandboxed renderer"):
        tried(folder)


def test_what_is_imported_as_something_else(folder, tmp_path):
    with pytest.raises(UserError, match="not a reward model"):
        tried(folder, "prm", score_head="sigmoid")
    with pytest.raises(UserError, match="no causal language model"):
        tried(write_prm(tmp_path / "prm"))
    with pytest.raises(UserError, match="card says that it is a PRM"):
        tried(tmp_path / "prm", "orm")
