"""Supervised fine-tuning: the loss, what moves, what repeats, what is refused, what is left behind."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import ConfigError, PolicyError
from meds3core.training.base import EmptyTrainingSet, TrainingDiverged
from meds3core.training.batches import plan_batches
from meds3core.training.checkpoints import newest, work_folder
from meds3core.training.events import TrainingStarted, TrainingStep, data_of
from meds3core.training.models import load_tokenizer
from meds3core.training.rows import IGNORED, sft_rows
from meds3core.training.sft import train_sft
from tests.core.training.tiny import (
    CONTEXT,
    Remembering,
    make_examples,
    same_weights,
    sft_config,
    weights,
    write_policy,
)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.fixture(scope="module")
def trained(policy, tmp_path_factory):
    """Eight examples, two epochs, four steps."""
    sink = Remembering()
    out = tmp_path_factory.mktemp("trained") / "model"
    result = train_sft(policy, make_examples(8), sft_config(), out, sink=sink)
    return out, result, sink


def rows_of(policy, examples):
    return sft_rows(TrajectoryEncoder(load_tokenizer(inspect_policy(policy))), examples, CONTEXT)


def batch_loss(policy, rows):
    """Mean over all taught tokens of the batch of −log p(token | what stands before it), one sequence at a time."""
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logits = model(torch.tensor([row.input_ids])).logits[0]
        log_probabilities = logits.log_softmax(-1)
        for position, label in enumerate(row.labels):
            if label != IGNORED:
                total -= log_probabilities[position - 1, label].item()
                count += 1
    return total / count


# --- the loss ------------------------------------------------------------------------------------------------------


def test_the_loss_of_the_first_step_is_the_one_worked_by_hand(policy, trained):
    """The first batch's taught tokens alone, weighted equally over the whole batch, prompts and padding left out."""
    _, _, sink = trained
    rows = rows_of(policy, make_examples(8))
    plan = plan_batches([len(row.input_ids) for row in rows], sft_config())
    assert sink.losses[0] == pytest.approx(batch_loss(policy, [rows[i] for i in plan.order[:4]]), rel=1e-5)


def test_nothing_of_the_prompt_is_taught_and_the_turn_is_ended(policy):
    tokenizer = load_tokenizer(inspect_policy(policy))
    row = rows_of(policy, make_examples(3))[2]
    taught = [label for label in row.labels if label != IGNORED]
    prompt = row.input_ids[: len(row.input_ids) - len(taught)]
    assert row.labels == (IGNORED,) * len(prompt) + tuple(taught)
    assert tokenizer.decode(taught).startswith("Step 0: Let's break down")
    assert taught[-1] == tokenizer.eos_token_id
    assert taught.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(prompt).endswith("assistant: ")


def test_equal_batches_give_the_same_losses_however_they_are_accumulated(policy, trained, tmp_path):
    """The published kind of fault: means of means, which weigh a short micro batch like a long one."""
    sink = Remembering()
    train_sft(policy, make_examples(8), sft_config(micro_batch_size=1), tmp_path / "model", sink=sink)
    assert sink.losses == pytest.approx(trained[2].losses, rel=1e-4)


def test_recomputing_activations_changes_no_loss(policy, trained, tmp_path):
    sink = Remembering()
    train_sft(policy, make_examples(8), sft_config(gradient_checkpointing=True), tmp_path / "model", sink=sink)
    assert sink.losses == pytest.approx(trained[2].losses, rel=1e-5)


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8}])
def test_products_in_bfloat16_leave_what_is_trained_in_float32(policy, trained, tmp_path, lora):
    """A rate of 1e-6 moves no bfloat16 weight, so only products are computed in that type."""
    sink = Remembering()
    config = sft_config(precision="bfloat16", lora=lora, learning_rate=1e-6)
    train_sft(policy, make_examples(8), config, tmp_path / "model", sink=sink)
    assert sink.events[0].data["precision"] == "bfloat16"
    assert sink.losses[0] == pytest.approx(trained[2].losses[0], rel=2e-2)
    assert inspect_policy(tmp_path / "model").dtype == "float32"
    before, after = weights(policy), weights(tmp_path / "model")
    assert any(not torch.equal(before[name], after[name]) for name in before)


# --- what moves and what repeats -----------------------------------------------------------------------------------


def test_every_parameter_moves_and_the_loss_falls(policy, trained):
    out, result, sink = trained
    before, after = weights(policy), weights(out)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert sink.losses[-1] < sink.losses[0]
    assert result.final_loss == sink.losses[-1]
    assert torch.equal(weights(policy)["model.norm.weight"], before["model.norm.weight"])


def test_the_same_seed_gives_the_same_folder_and_another_seed_another(policy, trained, tmp_path):
    train_sft(policy, make_examples(8), sft_config(), tmp_path / "again" / "model")
    assert same_weights(trained[0], tmp_path / "again" / "model")
    # The hash covers the card: what differs between two runs of the same training must not stand in it.
    assert inspect_policy(tmp_path / "again" / "model").hash == inspect_policy(trained[0]).hash
    train_sft(policy, make_examples(8), sft_config(seed=1), tmp_path / "other")
    assert not same_weights(trained[0], tmp_path / "other")


def test_the_order_of_neighbours_is_part_of_the_data(policy, trained, tmp_path):
    train_sft(policy, make_examples(8)[::-1], sft_config(), tmp_path / "model")
    provenance = [json.loads((f / "meds3.json").read_text())["provenance"] for f in (trained[0], tmp_path / "model")]
    assert provenance[0]["data"] != provenance[1]["data"]


# --- what is left behind -------------------------------------------------------------------------------------------


def test_the_folder_is_a_policy_that_says_how_it_was_made(policy, trained):
    out, result, _ = trained
    folder = inspect_policy(out)
    assert (folder.name, folder.prompt, folder.dtype) == ("model", "plain", "float32")
    provenance = json.loads((out / "meds3.json").read_text())["provenance"]
    assert provenance["method"] == "sft"
    assert provenance["start"] == {"name": policy.name, "hash": inspect_policy(policy).hash}
    assert sft_config().model_validate(provenance["config"]) == sft_config()
    assert provenance["result"] == {
        "steps": 4,
        "examples": 8,
        "left_out": 0,
        "tokens": result.tokens,
        "final_loss": result.final_loss,
    }
    assert provenance["versions"]["trl"]
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (policy / name).read_bytes()
    curve = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [point["step"] for point in curve[:-1]] == [1, 2, 3, 4]
    assert not work_folder(out).exists()
    assert {path.suffix for path in out.iterdir()} <= {".json", ".safetensors", ".jinja", ".jsonl"}


def test_presets_are_carried_from_the_start(policy, tmp_path):
    start = write_policy(tmp_path / "start")
    (start / "meds3.json").write_text(json.dumps({"name": "s", "prompt": "plain", "presets": {"train": "clinic"}}))
    train_sft(start, make_examples(4), sft_config(epochs=1), tmp_path / "model")
    assert json.loads((tmp_path / "model" / "meds3.json").read_text())["presets"] == {"train": "clinic"}


def test_events_tell_everything_a_page_shows(trained):
    _, result, sink = trained
    started = data_of(sink.events[0], TrainingStarted)
    assert (started.examples, started.left_out, started.processes, started.device) == (8, 0, 1, "cpu")
    assert started.trainable == started.parameters > 0
    steps = [data_of(event, TrainingStep) for event in sink.of("training-step")]
    assert [event.done for event in sink.of("training-step")] == [1, 2, 3, 4]
    assert all(event.total == 4 for event in sink.events)
    assert steps[-1].tokens == started.tokens == result.tokens
    assert steps[0].learning_rate == pytest.approx(5e-3)
    assert all(math.isfinite(step.grad_norm) and step.tokens_per_second > 0 for step in steps)
    assert steps[0].memory_bytes > 10_000_000
    assert sink.events[-1].kind == "training-finished"


def test_a_finished_run_is_found_again_and_another_is_never_written_over(policy, trained):
    out, result, _ = trained
    before = (out / "model.safetensors").stat().st_mtime_ns
    assert (
        train_sft(policy, make_examples(8), sft_config(), out).model_copy(update={"seconds": result.seconds}) == result
    )
    with pytest.raises(ConfigError, match="holds something else"):
        train_sft(policy, make_examples(8), sft_config(seed=4), out)
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_a_model_stored_in_bfloat16_is_stored_in_bfloat16_again(policy, tmp_path):
    start = tmp_path / "half"
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.bfloat16)
    model.save_pretrained(start)
    for file in policy.glob("tokenizer*"):
        (start / file.name).write_bytes(file.read_bytes())
    sink = Remembering()
    train_sft(start, make_examples(4), sft_config(epochs=1), tmp_path / "model", sink=sink)
    assert inspect_policy(tmp_path / "model").dtype == "bfloat16"


# --- what is refused -----------------------------------------------------------------------------------------------


def test_nothing_to_learn_from_is_said(policy, tmp_path):
    with pytest.raises(EmptyTrainingSet, match="No SFT examples"):
        train_sft(policy, [], sft_config(), tmp_path / "model")
    with pytest.raises(EmptyTrainingSet, match=r"All 3 examples are longer than 16 tokens"):
        train_sft(policy, make_examples(3), sft_config(max_length=16), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_too_long_examples_are_left_out_whole_and_counted(policy, tmp_path):
    examples = make_examples(8)
    sizes = [len(row.input_ids) for row in rows_of(policy, examples)]
    limit = sorted(sizes)[4]
    result = train_sft(policy, examples, sft_config(max_length=limit, epochs=1), tmp_path / "model")
    fitting = sum(size <= limit for size in sizes)
    assert (result.examples, result.left_out) == (fitting, 8 - fitting)
    assert result.left_out > 0


def test_a_tokenizer_without_an_end_of_turn_is_refused(tmp_path):
    start = write_policy(tmp_path / "start")
    settings = json.loads((start / "tokenizer_config.json").read_text())
    settings["eos_token"] = None
    settings.pop("chat_template", None)
    (start / "tokenizer_config.json").write_text(json.dumps(settings))
    (start / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(PolicyError, match="ends a turn"):
        train_sft(start, make_examples(3), sft_config(), tmp_path / "model")


def test_batches_that_do_not_divide_are_refused(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="multiple of micro_batch_size"):
        train_sft(policy, make_examples(8), sft_config(), tmp_path / "model")


def test_a_loss_that_is_not_a_number_stops_at_its_step_and_spoils_nothing(tmp_path):
    """One example reads a token whose embedding is NaN; the plan says at which step."""
    start = write_policy(tmp_path / "start")
    config = sft_config(batch_size=1, micro_batch_size=1, save_every=1)
    examples = make_examples(8)
    order = plan_batches([len(row.input_ids) for row in rows_of(start, examples)], config).order
    odd = examples[order[3]]
    examples[order[3]] = odd.model_copy(update={"bodies": (*odd.bodies[:-1], f"§ {odd.bodies[-1]}")})
    rows = rows_of(start, examples)
    step = plan_batches([len(row.input_ids) for row in rows], config).order.index(order[3]) + 1
    elsewhere = {token for i, row in enumerate(rows) if i != order[3] for token in row.input_ids}
    token = next(token for token in rows[order[3]].input_ids if token not in elsewhere)
    tensors = load_file(start / "model.safetensors")
    tensors["model.embed_tokens.weight"][token] = math.nan
    save_file(tensors, start / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(TrainingDiverged, match=rf"step {step} of 16.*checkpoint of step {step - 1}"):
        train_sft(start, examples, config, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    kept = newest(work_folder(tmp_path / "model"), clean=False)
    assert kept.step == step - 1 > 0
    assert all(
        torch.isfinite(tensor).all()
        for name, tensor in load_file(kept.path / "model.safetensors").items()
        if "embed" not in name
    )
