"""The policy that ships with the package: small, loadable by standard classes, able and imperfect."""

import json

import pytest
from transformers import AutoConfig, AutoTokenizer

from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.checker import judge_response
from meds3core.sandbox.questions import generate
from meds3core.sandbox.sampling import Sampler
from meds3core.verify.judge import judge

folder = policy_folder()
pytestmark = pytest.mark.skipif(not (folder / "model.safetensors").exists(), reason="no policy was trained yet")


def test_it_is_small_and_standard():
    config = AutoConfig.from_pretrained(folder)
    card = json.loads((folder / "meds3.json").read_text())
    weights = (folder / "model.safetensors").stat().st_size
    parameters = card["provenance"]["parameters"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12_000_000
    assert config.architectures == ["LlamaForCausalLM"] and config.max_position_embeddings >= 4096
    assert 1_000_000 <= parameters <= 2_500_000 and abs(weights - 4 * parameters) < 20_000
    assert card["prompt"] == "plain" and card["presets"]["train"] == "clinic"
    assert not list(folder.glob("*.py")) and not list(folder.glob("*.bin"))


def test_its_tokenizer_agrees_with_its_model():
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == config.vocab_size
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        config.bos_token_id,
        config.eos_token_id,
        config.pad_token_id,
    )
    text = "Größe: 4.2 mg – “ok” 🙂\n\n\nStep 300:"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_it_writes_the_taught_style_and_is_imperfect():
    questions = [q for q in generate("test", 90, seed=99) if q.domain in ("dosing", "anion-gap", "curb65", "fluids")]
    responses = Sampler(folder).greedy([question.text for question in questions])
    right = [judge(r.text, q).correct is True for r, q in zip(responses, questions, strict=True)]
    steps = [v for r, q in zip(responses, questions, strict=True) for v in judge_response(q, r.text)]
    assert 0.15 < sum(right) / len(right) < 0.85
    assert sum(step.judged for step in steps) / len(steps) > 0.95
