"""Preference optimisation: the loss, the reference, and continuations that must not learn to stop early."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled, PolicyError
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.batches import plan_batches
from meds3core.training.dpo import train_dpo
from meds3core.training.models import load_tokenizer
from tests.core.training.tiny import Remembering, dpo_config, make_pairs, same_weights, weights, write_policy


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


def encoded(policy, pairs):
    encoder = TrajectoryEncoder(load_tokenizer(inspect_policy(policy)))
    return [encoder.pair(pair) for pair in pairs]


def log_probability(model, prompt, continuation):
    """Sum over the continuation's own tokens, one sequence at a time."""
    ids = torch.tensor([[*prompt, *continuation]])
    with torch.no_grad():
        log_probabilities = model(ids).logits[0].log_softmax(-1)
    first = len(prompt)
    return sum(log_probabilities[first + i - 1, token].item() for i, token in enumerate(continuation))


def batches(policy, pairs, config):
    rows = encoded(policy, pairs)
    plan = plan_batches([2 * len(row.prompt) + len(row.chosen) + len(row.rejected) for row in rows], config)
    return [[rows[i] for i in plan.order[start : start + 4]] for start in range(0, len(plan.order), 4)]


# --- the loss ------------------------------------------------------------------------------------------------------


def test_the_first_loss_is_ln_2_and_the_second_the_one_worked_by_hand(policy, tmp_path):
    """−log σ(β·Δ) per pair, with the log-probabilities of the policy after one step and of the start model."""
    config = dpo_config(save_every=1, beta=0.5)
    after_one = tmp_path / "after-one"

    def keep():
        shutil.copytree(tmp_path / "model.work" / "checkpoint-1", after_one)

    sink = Remembering(at=("checkpoint", 1), then=keep)
    train_dpo(policy, make_pairs(8), config, tmp_path / "model", sink=sink)
    assert sink.losses[0] == pytest.approx(math.log(2), abs=1e-6)

    trained = AutoModelForCausalLM.from_pretrained(after_one).eval()
    reference = AutoModelForCausalLM.from_pretrained(policy).eval()
    losses, ordered = [], []
    for row in batches(policy, make_pairs(8), config)[1]:
        difference = (
            log_probability(trained, row.prompt, row.chosen)
            - log_probability(reference, row.prompt, row.chosen)
            - log_probability(trained, row.prompt, row.rejected)
            + log_probability(reference, row.prompt, row.rejected)
        )
        losses.append(math.log1p(math.exp(-0.5 * difference)))
        ordered.append(difference > 0)
    assert sum(losses) / 4 != pytest.approx(math.log(2), abs=1e-3)
    assert sink.losses[1] == pytest.approx(sum(losses) / 4, rel=1e-4)
    assert sink.of("training-step")[1].data["metrics"]["accuracy"] == pytest.approx(sum(ordered) / 4)


def test_the_chosen_ones_likelihood_is_added_with_its_weight(policy, tmp_path):
    """At the first step: ln 2 + weight × mean −log p over the tokens of the chosen continuations."""
    config = dpo_config(sft_weight=0.5, max_steps=1)
    sink = Remembering()
    train_dpo(policy, make_pairs(8), config, tmp_path / "model", sink=sink)
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    rows = batches(policy, make_pairs(8), config)[0]
    likelihood = sum(log_probability(model, row.prompt, row.chosen) for row in rows)
    expected = math.log(2) - 0.5 * likelihood / sum(len(row.chosen) for row in rows)
    assert sink.losses[0] == pytest.approx(expected, rel=1e-4)


def test_equal_batches_give_the_same_losses_however_they_are_accumulated(policy, tmp_path):
    whole, split = Remembering(), Remembering()
    train_dpo(policy, make_pairs(8), dpo_config(), tmp_path / "whole", sink=whole)
    train_dpo(policy, make_pairs(8), dpo_config(micro_batch_size=2), tmp_path / "split", sink=split)
    assert split.losses == pytest.approx(whole.losses, rel=1e-3)


def test_preferences_are_learnt_and_all_parameters_move(policy, tmp_path):
    sink = Remembering()
    train_dpo(policy, make_pairs(8), dpo_config(epochs=6, learning_rate=1e-2), tmp_path / "model", sink=sink)
    last = sink.of("training-step")[-1].data["metrics"]
    assert sink.losses[-1] < 0.3
    assert last["accuracy"] == 1.0
    assert last["margin"] > 0.1
    before, after = weights(policy), weights(tmp_path / "model")
    assert all(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8}])
def test_the_reference_is_the_start_model(policy, tmp_path, lora):
    """Its log-probabilities, computed once, are those of the start model for every pair."""
    kept = tmp_path / "reference.safetensors"

    def keep():
        shutil.copy(tmp_path / "model.work" / "reference.safetensors", kept)

    sink = Remembering(at=("training-started", 0), then=keep)
    train_dpo(policy, make_pairs(6), dpo_config(max_steps=1, lora=lora), tmp_path / "model", sink=sink)
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    found = load_file(kept)
    for index, row in enumerate(encoded(policy, make_pairs(6))):
        assert found["chosen"][index].item() == pytest.approx(log_probability(model, row.prompt, row.chosen), rel=1e-4)
        assert found["rejected"][index].item() == pytest.approx(
            log_probability(model, row.prompt, row.rejected), rel=1e-4
        )


def test_the_same_seed_gives_the_same_weights(policy, tmp_path):
    for name in ("one", "two"):
        train_dpo(policy, make_pairs(8), dpo_config(), tmp_path / name / "model")
    assert same_weights(tmp_path / "one" / "model", tmp_path / "two" / "model")


def test_computing_the_reference_reports_itself_and_can_be_stopped(policy, tmp_path):
    sink = Remembering(at=("training-preparing", 4))
    with pytest.raises(Cancelled):
        train_dpo(policy, make_pairs(8), dpo_config(), tmp_path / "model", sink=sink, cancel=sink.cancel)
    assert [(event.kind, event.done, event.total) for event in sink.events] == [("training-preparing", 4, 8)]
    assert not (tmp_path / "model").exists()
    train_dpo(policy, make_pairs(8), dpo_config(), tmp_path / "model")


# --- no early stop -------------------------------------------------------------------------------------------------


def test_only_a_continuation_that_reaches_an_answer_ends_the_turn(policy):
    end = load_tokenizer(inspect_policy(policy)).eos_token_id
    pairs = make_pairs(8)
    for pair, row in zip(pairs, encoded(policy, pairs), strict=True):
        for ids, finished in ((row.chosen, pair.chosen_finished), (row.rejected, pair.rejected_finished)):
            assert ids.count(end) == int(finished)
            assert not finished or ids[-1] == end


def test_open_pairs_do_not_teach_to_stop_and_closing_them_would(policy, tmp_path):
    """One step against two. Both sides closed by an end of turn, as the published code did, and the chosen one's own
    likelihood in the loss, the policy learns to stop after a step; left open, it learns to go on."""
    pairs = [
        pair.model_copy(
            update={
                "chosen": (f"The dose is {number} mg.",),
                "rejected": (f"The dose is {number} mg.", f"The daily amount is {number} mg per kg."),
                "chosen_finished": False,
                "rejected_finished": False,
            }
        )
        for number, pair in enumerate(make_pairs(8))
    ]
    closed = [pair.model_copy(update={"chosen_finished": True, "rejected_finished": True}) for pair in pairs]
    end = load_tokenizer(inspect_policy(policy)).eos_token_id

    def chance_to_stop(folder):
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        chances = []
        for row in encoded(policy, closed):
            with torch.no_grad():
                logits = model(torch.tensor([[*row.prompt, *row.chosen[:-1]]])).logits[0, -1]
            chances.append(logits.softmax(-1)[end].item())
        return sum(chances) / len(chances)

    config = dpo_config(epochs=4, learning_rate=1e-2, sft_weight=1.0)
    train_dpo(policy, pairs, config, tmp_path / "open")
    train_dpo(policy, closed, config, tmp_path / "closed")
    before = chance_to_stop(policy)
    assert chance_to_stop(tmp_path / "open") < before
    assert chance_to_stop(tmp_path / "closed") > 10 * before


# --- what is refused -----------------------------------------------------------------------------------------------


def test_nothing_to_learn_from_is_said(policy, tmp_path):
    with pytest.raises(EmptyTrainingSet, match="No preference pairs"):
        train_dpo(policy, [], dpo_config(), tmp_path / "model")
    with pytest.raises(EmptyTrainingSet, match="All 2 pairs are longer than 16 tokens"):
        train_dpo(policy, make_pairs(2), dpo_config(max_length=16), tmp_path / "model")


def test_a_pair_is_left_out_when_its_longer_side_does_not_fit(policy, tmp_path):
    sizes = [len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in encoded(policy, make_pairs(8))]
    limit = sorted(sizes)[4]
    result = train_dpo(policy, make_pairs(8), dpo_config(max_length=limit, max_steps=1), tmp_path / "model")
    assert result.left_out == sum(size > limit for size in sizes) > 0


def test_a_tokenizer_without_an_end_of_turn_will_do_for_open_pairs_only(tmp_path):
    start = write_policy(tmp_path / "start")
    tokenizer = load_tokenizer(inspect_policy(start))
    tokenizer.eos_token = None
    tokenizer.chat_template = None
    (start / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(start)
    with pytest.raises(PolicyError, match="ends a turn"):
        train_dpo(start, make_pairs(4), dpo_config(), tmp_path / "model")
    still_open = [pair for pair in make_pairs(8) if not pair.chosen_finished]
    train_dpo(start, still_open, dpo_config(max_steps=1), tmp_path / "model")
