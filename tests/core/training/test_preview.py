"""A preview shows what training really gets: its tokens are compared with the batches that a trainer was given."""

from itertools import pairwise

import pytest
from transformers import Trainer

from meds3core.config.training import GrpoConfig, OrmConfig, PrmConfig
from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.engines.policy import inspect_policy
from meds3core.errors import Cancelled
from meds3core.progress import CancelToken
from meds3core.text.steps import OPENER
from meds3core.training.dpo import train_dpo
from meds3core.training.models import load_tokenizer
from meds3core.training.orm import train_orm
from meds3core.training.preview import SHOWN, preview_data
from meds3core.training.prm import train_prm
from meds3core.training.rows import IGNORED, primed_prompt
from meds3core.training.sft import train_sft
from meds3core.training.shown import visible
from meds3core.types.labels import LabelledTrajectory
from tests.core.training.tiny import (
    CONTEXT,
    Remembering,
    dpo_config,
    make_examples,
    make_pairs,
    make_question,
    sft_config,
    write_policy,
)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.fixture(scope="module")
def tokenizer(policy):
    return load_tokenizer(inspect_policy(policy))


@pytest.fixture
def batches(monkeypatch):
    """What the trainer of the library is given, batch by batch."""
    seen = []
    step = Trainer.training_step

    def remember(trainer, model, inputs, *more):
        seen.append({name: value.tolist() for name, value in inputs.items() if hasattr(value, "tolist")})
        return step(trainer, model, inputs, *more)

    monkeypatch.setattr(Trainer, "training_step", remember)
    return seen


def trajectories(count):
    made = []
    for number in range(1, count + 1):
        bodies = (OPENER, f"The child weighs {number} kg.", "So it is.", f"The answer is {number * 2} mg.")
        labels = (None, 0.75, None if number % 2 else 0.5, float(number % 2))
        question = make_question(number).model_copy(update={"source": "even" if number % 2 == 0 else "odd"})
        made.append(LabelledTrajectory(question=question, bodies=bodies, labels=labels, correct=bool(number % 2)))
    return made


def ids_of(example, *roles):
    return [token for stretch in example.stretches if stretch.role in roles for token in stretch.ids]


def test_fine_tuning_trains_on_the_tokens_that_are_shown_as_such(policy, tokenizer, batches, tmp_path):
    examples = make_examples(8)
    config = sft_config(epochs=1)
    train_sft(policy, examples, config, tmp_path / "model")
    trained = sorted(
        (
            [token for token, mask in zip(ids, batch["attention_mask"][row], strict=True) if mask],
            [label for label in batch["labels"][row] if label != IGNORED],
        )
        for batch in batches
        for row, ids in enumerate(batch["input_ids"])
    )
    found = preview_data("sft", examples, tokenizer, config, CONTEXT)
    shown = sorted((ids_of(each, "read", "trained"), ids_of(each, "trained")) for each in found.examples)
    assert shown == trained
    assert found.tokens == sum(len(ids) for ids, _ in trained)
    assert found.trained_tokens == sum(len(taught) for _, taught in trained)
    assert (found.records, found.used, found.left_out, found.problem) == (8, 8, 0, "")


def test_preference_training_prefers_the_tokens_that_are_shown(policy, tokenizer, batches, tmp_path):
    pairs = make_pairs(8)
    config = dpo_config(epochs=1)
    train_dpo(policy, pairs, config, tmp_path / "model")
    sides = []
    for batch in batches:  # the chosen ones first, then the rejected ones
        for ids, attended, answer in zip(
            batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True
        ):
            kept = [at for at, mask in enumerate(attended) if mask]
            sides.append(([ids[at] for at in kept], [ids[at] for at in kept if answer[at]]))
    found = preview_data("dpo", pairs, tokenizer, config, CONTEXT)
    shown = [
        (ids_of(each, "read", role), ids_of(each, role)) for each in found.examples for role in ("chosen", "rejected")
    ]
    assert sorted(shown) == sorted(sides)
    assert found.trained_tokens == sum(len(taught) for _, taught in sides)
    assert found.tokens == sum(len(ids) for ids, _ in sides)
    opened = [stretch.open_end for each in found.examples for stretch in each.stretches if stretch.role == "chosen"]
    assert opened == [not pair.chosen_finished for pair in pairs]


@pytest.mark.parametrize("method", ["prm", "orm"])
def test_reward_models_read_the_positions_that_are_marked(policy, tokenizer, batches, tmp_path, method):
    kind, train = {"prm": (PrmConfig, train_prm), "orm": (OrmConfig, train_orm)}[method]
    quick = {"lora": None, "layout": "flat", "epochs": 1, "batch_size": 4, "micro_batch_size": 4, "max_length": CONTEXT}
    records, config = trajectories(8), kind(**quick)
    train(policy, records, config, tmp_path / "model")
    read = []
    for batch in batches:
        width, at = len(batch["input_ids"][0]), 0
        for row, ids in enumerate(batch["input_ids"]):
            ends = [place - row * width for place in batch["places"] if row * width <= place < (row + 1) * width]
            read.append((ids, ends, batch["targets"][at : at + len(ends)]))
            at += len(ends)
    found = preview_data(method, records, tokenizer, config, CONTEXT)
    shown = []
    for each in found.examples:
        marks = [mark for stretch in each.stretches for mark in stretch.marks if mark.target is not None]
        shown.append((ids_of(each, "read"), [mark.position for mark in marks], [mark.target for mark in marks]))
        for stretch in each.stretches:
            assert all(ids_of(each, "read")[mark.position] == stretch.ids[mark.at] for mark in stretch.marks)
    unpadded = [(ids[: len(one[0])], ends, targets) for (ids, ends, targets), one in _matched(read, shown)]
    assert sorted(unpadded) == sorted(shown)
    assert found.trained_tokens == sum(len(ends) for _, ends, _ in read)
    assert {each.source: each.right for each in found.sources} == {"odd": 4, "even": 0}
    (classes, *_) = found.classes
    assert dict(classes.rows) == {"right": 4, "wrong": 4}


def _matched(read, shown):
    """Each batch's row beside the shown one that it begins with."""
    return [(row, next(one for one in shown if row[0][: len(one[0])] == one[0])) for row in read]


def test_labels_are_counted_by_value_and_by_step(tokenizer):
    found = preview_data("prm", trajectories(8), tokenizer, PrmConfig(max_length=CONTEXT), CONTEXT)
    labels = dict(next(each for each in found.histograms if each.title == "Labels").rows)
    assert (labels["0.0"], labels["0.5"], labels["0.7"], labels["0.9"]) == (4, 4, 8, 4)
    assert [(each.step, each.labels, each.mean) for each in found.steps] == [(1, 8, 0.75), (2, 4, 0.5), (3, 8, 0.5)]
    assert dict(found.classes[1].rows) == {"0.5 and above": 16, "below 0.5": 4}


def test_what_does_not_fit_is_said_and_shown(tokenizer):
    examples = make_examples(8)
    lengths = [each.length for each in preview_data("sft", examples, tokenizer, sft_config(), CONTEXT).examples]
    longest = sorted(lengths)[5]
    found = preview_data("sft", examples, tokenizer, sft_config(max_length=longest), CONTEXT)
    assert (found.longest, found.left_out) == (longest, sum(length > longest for length in lengths))
    assert [each.fits for each in found.examples] == [length <= longest for length in lengths]
    assert found.lengths["max"] <= longest
    none = preview_data("sft", examples, tokenizer, sft_config(max_length=16), CONTEXT)
    assert (none.used, none.tokens) == (0, 0)
    assert "16" in none.problem


def test_what_a_training_would_refuse_is_said(tokenizer):
    right = [each for each in trajectories(8) if each.correct]
    assert "All 4 trajectories are right" in preview_data("orm", right, tokenizer, OrmConfig(), CONTEXT).problem
    bare = [each.model_copy(update={"labels": (None,) * len(each.bodies)}) for each in trajectories(2)]
    found = preview_data("prm", bare, tokenizer, PrmConfig(), CONTEXT)
    assert (found.unlabelled, found.used) == (2, 0)
    assert "labelled step" in found.problem


def test_questions_are_shown_up_to_where_the_policy_writes(tokenizer):
    questions = [make_question(number) for number in range(1, 4)]
    config = GrpoConfig(max_length=CONTEXT, max_new_tokens=16, batch_size=8, micro_batch_size=8)
    found = preview_data("grpo", questions, tokenizer, config, CONTEXT)
    encoder = TrajectoryEncoder(tokenizer)
    assert [ids_of(each, "read") for each in found.examples] == [primed_prompt(encoder, each) for each in questions]
    assert (found.longest, found.trained_tokens, dict(found.classes[0].rows)) == (CONTEXT - 16, 0, {"number": 3})


def test_of_a_large_set_all_is_counted_and_some_is_shown(tokenizer):
    sink = Remembering()
    found = preview_data("sft", make_examples(90), tokenizer, sft_config(), CONTEXT, sink=sink)
    assert found.records == 90
    numbers = [each.number for each in found.examples]
    assert (len(numbers), numbers[0]) == (SHOWN, 1)
    assert max(after - before for before, after in pairwise(numbers)) <= 2
    assert sum(count for _, count in found.histograms[0].rows) == 90
    assert sink.events
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        preview_data("sft", make_examples(3), tokenizer, sft_config(), CONTEXT, cancel=cancel)


def test_tokens_are_shown_without_signs_that_steer():
    assert visible("a\n\u200bb\x1b") == "a⏎�b�"
