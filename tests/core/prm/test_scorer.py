"""Scores of the transformers scorer: read at the right token, by the right logit, independent of company."""

import random

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from meds3core.config.decoding import ScorerConfig
from meds3core.errors import AppError, ConfigError, ContextOverflow, PolicyError
from meds3core.prm.base import ScoreItem
from meds3core.prm.card import inspect_reward_model
from meds3core.prm.loading import load_scorer
from meds3core.prm.probability import probability
from meds3core.prm.scorer import TransformersScorer
from meds3core.text.steps import OPENER
from tests.core.prm.tiny import CONTEXT, make_question, write_policy, write_prm
from tests.core.trees.factory import tree as make_tree

CPU = ScorerConfig(device="cpu")


def make_items(count: int, seed: int = 0) -> list[ScoreItem]:
    """Trajectories of unequal length over a few questions, many of which share beginnings."""
    rng = random.Random(seed)
    words = ["Take the dose.", "It is 12 mg.", "Multiply by 3, then by the weight.", "The answer is 4 mg.", "So."]
    return [
        ScoreItem(make_question(rng.randrange(4)), (OPENER, *(rng.choice(words) for _ in range(rng.randint(0, 6)))))
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=["llama", "qwen2", "mistral"])
def folder(request, tmp_path_factory):
    return write_prm(tmp_path_factory.mktemp("prm") / request.param, request.param)


@pytest.fixture(scope="module")
def scorer(folder):
    return TransformersScorer.load(folder, CPU)


def by_hand(folder, item: ScoreItem) -> list[float]:
    """One plain forward pass of the library's model over one trajectory, read at the step ends; no code of ours."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer.encode(item.question.text + "\n\n")
    ends = []
    for number, body in enumerate(item.bodies):
        ids += tokenizer.encode(f"Step {number}: {body}\n\n", add_special_tokens=False)
        ends.append(len(ids) - 1)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :, 0]
    return torch.sigmoid(logits[ends]).tolist()


def test_the_score_of_a_step_is_the_head_at_its_last_token(folder, scorer):
    items = make_items(6)
    for item, scores in zip(items, scorer.score(items), strict=True):
        assert scores.values == pytest.approx(by_hand(folder, item), abs=1e-5)
        assert len(scores.values) == len(item.bodies)


@pytest.mark.parametrize("layout", ["auto", "flat"])
def test_scores_do_not_depend_on_batch_padding_or_neighbours(folder, layout):
    """Published faults: scores of a whole batch read from row 0; left padding without an attention mask."""
    items = make_items(24)
    scorer = TransformersScorer(inspect_reward_model(folder), CPU, layout=layout)
    small = TransformersScorer(
        inspect_reward_model(folder), ScorerConfig(device="cpu", batch_tokens=300), layout=layout
    )
    together = scorer.score(items)
    backwards = scorer.score(items[::-1])[::-1]
    in_small_batches = small.score(items)
    alone = [scorer.score([item])[0] for item in items]
    assert len({scores.values for scores in together}) > 10
    for others in (backwards, in_small_batches, alone):
        for one, other in zip(together, others, strict=True):
            assert one.values == pytest.approx(other.values, abs=1e-6)


def test_a_step_is_scored_alike_whatever_follows(scorer):
    item = next(item for item in make_items(40, seed=3) if len(item.bodies) > 4)
    whole = scorer.score([item])[0].values
    cut = scorer.score([ScoreItem(item.question, item.bodies[:3])])[0].values
    assert cut == pytest.approx(whole[:3], abs=1e-6)


def test_shared_beginnings_are_computed_once(scorer):
    """16 samples of one question share its prompt and step 0, at least."""
    items = make_items(16)
    results = scorer.score([ScoreItem(items[0].question, item.bodies) for item in items])
    flat = sum(scorer.score([ScoreItem(items[0].question, item.bodies)])[0].tokens for item in items)
    assert sum(result.tokens for result in results) < 0.6 * flat


def test_a_trajectory_of_one_step_has_one_score(scorer):
    item = ScoreItem(make_question(1), (OPENER,))
    assert len(scorer.score([item])[0].values) == 1


def test_nothing_to_score(scorer):
    assert scorer.score([]) == []


def test_a_trajectory_longer_than_the_context_is_refused_without_its_text(scorer):
    item = ScoreItem(make_question(1), (OPENER, "marker " * CONTEXT))
    with pytest.raises(ContextOverflow, match=f"trajectory 1 .*{CONTEXT}") as caught:
        scorer.score([make_items(1)[0], item])
    assert "marker" not in str(caught.value)


def test_attention_that_a_tree_cannot_follow_falls_back_to_flat(tmp_path):
    """Soft-capped attention scores."""
    folder = write_prm(tmp_path / "gemma2", "gemma2")
    scorer = TransformersScorer.load(folder, CPU)
    assert "softcap" in scorer.flat_reason
    items = make_items(8)
    for item, scores in zip(items, scorer.score(items), strict=True):
        assert scores.values == pytest.approx(by_hand(folder, item), abs=1e-4)


def test_rotary_frequencies_that_follow_the_longest_row_get_rows_of_their_own(tmp_path):
    scorer = TransformersScorer.load(write_prm(tmp_path / "longrope", "longrope"), CPU)
    assert "frequencies" in scorer.flat_reason
    items = make_items(8)
    for item, scores in zip(items, scorer.score(items), strict=True):
        assert scorer.score([item])[0].values == pytest.approx(scores.values, abs=1e-6)


def test_an_outcome_model_gives_one_score_read_at_the_last_token(tmp_path):
    prm = TransformersScorer.load(write_prm(tmp_path / "prm"), CPU)
    orm = TransformersScorer.load(write_prm(tmp_path / "orm", role="orm"), CPU)
    assert orm.info.kind == "orm"
    items = make_items(5)
    for steps, outcome in zip(prm.score(items), orm.score(items), strict=True):
        assert outcome.values == pytest.approx(steps.values[-1:], abs=1e-6)
    with pytest.raises(ConfigError, match="outcome reward model"):
        orm.score_tree(make_tree(1))


@pytest.mark.parametrize(
    ("head", "expected"),
    [("sigmoid1", lambda logits: torch.sigmoid(logits[:, 1])), ("softmax1", lambda logits: logits.softmax(-1)[:, 1])],
)
def test_published_two_label_models_load_when_told_how_to_read_them(head, expected, tmp_path):
    """A published fault: one logit trained, two read. Which is right depends on the training, so it must be said."""
    folder = write_prm(tmp_path / "published", labels=2, score_head=None)
    with pytest.raises(ConfigError, match="score_head"):
        load_scorer(folder, CPU)
    scorer = load_scorer(folder, CPU, score_head=head)
    item = make_items(1)[0]
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    encoded = scorer._encoder.steps(item.question, item.bodies)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([encoded.ids])).logits[0, list(encoded.ends)]
    assert scorer.score([item])[0].values == pytest.approx(expected(logits).tolist(), abs=1e-5)


def test_a_head_that_does_not_fit_the_labels_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="2 labels"):
        inspect_reward_model(write_prm(tmp_path / "two", labels=2, score_head="sigmoid"))
    with pytest.raises(ConfigError, match="1 labels"):
        inspect_reward_model(write_prm(tmp_path / "one", score_head=None), score_head="softmax1")
    with pytest.raises(ConfigError, match="sigmoid1"):
        inspect_reward_model(write_prm(tmp_path / "other"), score_head="sigmoid1")


def test_probability_of_hand_worked_logits():
    """σ(0) = 1/2; σ(2) = 0.880797; e²/(e¹ + e²) = 0.731059."""
    logits = torch.tensor([[0.0, 2.0]])
    assert probability(logits, "sigmoid").tolist() == pytest.approx([0.5])
    assert probability(logits, "sigmoid1").tolist() == pytest.approx([0.880797], abs=1e-6)
    assert probability(logits + torch.tensor([1.0, 0.0]), "softmax1").tolist() == pytest.approx([0.731059], abs=1e-6)


def test_a_policy_is_no_reward_model(tmp_path):
    policy = write_policy(tmp_path / "policy")
    with pytest.raises(PolicyError, match="LlamaForCausalLM"):
        load_scorer(policy, CPU, score_head="sigmoid")


def test_pickled_weights_and_foreign_code_are_refused(tmp_path):
    folder = write_prm(tmp_path / "prm")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(PolicyError, match="pickled"):
        load_scorer(folder, CPU)
    other = write_prm(tmp_path / "other")
    (other / "modeling.py").write_text("")
    with pytest.raises(PolicyError, match="Python code"):
        load_scorer(other, CPU)


def test_a_model_trained_with_another_prompt_is_refused(tmp_path):
    folder = write_prm(tmp_path / "prm", prompt_hash="0" * 32)
    with pytest.raises(ConfigError, match="another prompt"):
        load_scorer(folder, CPU)


def test_a_tokenizer_that_is_not_the_weights_own_is_refused(tmp_path):
    """Policy and reward model may differ in their tokenizers; a reward model and its own weights may not."""
    folder = write_prm(tmp_path / "prm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"word{number}" for number in range(50)])
    tokenizer.save_pretrained(folder)
    scorer = load_scorer(folder, CPU)
    scorer.score(make_items(2))
    with pytest.raises(PolicyError, match="different models"):
        scorer.score([ScoreItem(make_question(1), (OPENER, "Then word7 follows."))])


def test_a_closed_scorer_says_so(tmp_path):
    scorer = load_scorer(write_prm(tmp_path / "prm"), CPU)
    scorer.close()
    scorer.close()
    with pytest.raises(AppError, match="closed"):
        scorer.score(make_items(1))
