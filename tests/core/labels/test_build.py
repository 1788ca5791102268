"""Whole label sets: grouping, sources, emptiness, progress; the published data form."""

import json

import pytest

from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.data.published_trees import read_published, write_published
from meds3core.data.trees import read_trees, write_trees
from meds3core.errors import Cancelled, UserError
from meds3core.labels.base import EmptyLabelSet
from meds3core.labels.build import build_labels
from meds3core.labels.prefix import prefix_hash, prefix_hashes
from meds3core.progress import CancelToken
from meds3core.text.steps import OPENER
from meds3core.types.question import Question
from tests.core.labels.by_hand import question, step, tree
from tests.core.trees import factory

CONFIGS = (
    SftLabelConfig(),
    PairLabelConfig(gap=0.3),
    StepLabelConfig(),
    StepLabelConfig(label="soft", source="rollout", both_outcomes=False),
)
GROWN = [grown for grown in map(factory.tree, range(30)) if isinstance(grown.question, Question)]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_generator_and_a_file_give_the_same_set(config, tmp_path):
    whole = build_labels(GROWN, config)
    assert whole.records
    write_trees(tmp_path / "trees.jsonl", GROWN)
    assert build_labels(read_trees(tmp_path / "trees.jsonl"), config) == whole


@pytest.mark.parametrize("config", CONFIGS)
def test_questions_do_not_influence_one_another(config):
    whole = build_labels(GROWN, config).records
    alone = [record for grown in GROWN for record in build_labels([grown], config).records]
    assert list(whole) == alone


@pytest.mark.parametrize("config", CONFIGS)
def test_trees_of_one_question_stand_together(config):
    first = tree(step(0, 0.9), step(0, 0.1), step(1, 1.0, True), step(2, 0.0, False))
    second = tree(step(0, 0.8), step(0, 0.2), step(1, 1.0, True), step(2, 0.0, False), policy="p2")
    between = tree(step(0, 0.9), step(0, 0.1), step(1, 1.0, True), step(2, 0.0, False), of=question(2))
    ids = [record.question.id for record in build_labels([first, between, second], config).records]
    assert ids == sorted(ids) and set(ids) == {"q1", "q2"}


def test_an_empty_set_says_why():
    wrong = tree(step(0, 0.0, False))
    with pytest.raises(EmptyLabelSet, match=r"1 trajectories with a wrong answer.*Change a setting"):
        build_labels([wrong], SftLabelConfig()).require_kept()
    with pytest.raises(EmptyLabelSet, match="both_outcomes"):
        build_labels([wrong], StepLabelConfig()).require_kept()
    with pytest.raises(EmptyLabelSet, match="no tree"):
        build_labels([], SftLabelConfig()).require_kept()
    with pytest.raises(EmptyLabelSet, match=r"\(gap\)"):
        build_labels([wrong], PairLabelConfig()).require_kept()


def test_a_set_is_not_taken_for_another_kind():
    label_set = build_labels(GROWN, SftLabelConfig())
    assert len(label_set.sft()) == label_set.counts.kept
    with pytest.raises(UserError, match="holds 'sft', but 'pairs' is needed"):
        label_set.pairs()
    with pytest.raises(UserError, match="'steps' is needed"):
        label_set.steps()


def test_trees_without_gold_and_unfinished_ones_are_counted():
    open_tree = tree(step(0, 0.5), of=question().without_gold())
    unfinished = tree(step(0, 0.5))
    counts = build_labels([open_tree, unfinished], SftLabelConfig()).counts
    assert counts.dropped == {"trees grown without a gold answer": 1, "trees without a finished trajectory": 1}
    assert (counts.trees, counts.questions) == (2, 1)


def test_progress_and_cancel():
    events = []

    class Sink:
        def emit(self, event):
            events.append(event)

    build_labels(GROWN, SftLabelConfig(), sink=Sink())
    assert (events[-1].kind, events[-1].done, events[-1].total) == ("labels", len(GROWN), len(GROWN))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        build_labels(GROWN, SftLabelConfig(), cancel=token)


def test_prefix_hashes():
    asked = question()
    bodies = [OPENER, "One.", "Two."]
    assert list(prefix_hashes(asked, bodies)) == [prefix_hash(asked, bodies[:end]) for end in (1, 2, 3)]
    assert prefix_hash(asked, bodies) == prefix_hash(asked.without_gold(), tuple(bodies))
    assert prefix_hash(asked.model_copy(update={"id": "other"}), bodies) == prefix_hash(asked, bodies)
    others = [
        prefix_hash(question(2), bodies),
        prefix_hash(asked, [OPENER, "One."]),
        prefix_hash(asked, [OPENER, "Two.", "One."]),
        prefix_hash(asked, [OPENER, "One.\n\nStep 2: Two."]),
        prefix_hash(asked, []),
    ]
    assert len({prefix_hash(asked, bodies), *others}) == 6


PUBLISHED = {
    "id": "p1",
    "question": "How much?",
    "answer": "7 mg",
    "pos": [
        [
            {"step": f"Step 0: {OPENER}", "value": 0.5, "rollout_value": 0.5},
            {"step": "Step 1: Take it.", "value": 0.9, "rollout_value": 0.75},
            {"step": "Step 2: The answer is 7 mg.", "value": 1, "rollout_value": 1},
        ]
    ],
    "neg": [
        [
            {"step": f"Step 0: {OPENER}", "value": 0.5, "rollout_value": 0.5},
            {"step": "Step 1: Take it.", "value": 0.9, "rollout_value": 0.75},
            {"step": "Step 2: Halve it.", "value": 0.4, "rollout_value": 0.25},
            {"step": "Step 3: So it is 3.5 mg", "value": 0, "rollout_value": 0},
        ]
    ],
}


def test_the_published_form_can_be_learnt_from_directly(tmp_path):
    """No rollout counts, no dead ends; a wrong trajectory whose last step states no answer that could be read."""
    path = tmp_path / "published.jsonl"
    path.write_text(json.dumps(PUBLISHED) + "\n")
    trees = [imported.tree for imported in read_published(path)]
    (example,) = build_labels(trees, SftLabelConfig()).sft()
    assert example.bodies == (OPENER, "Take it.", "The answer is 7 mg.")
    assert example.weakest == 0.9
    right, wrong = build_labels(trees, StepLabelConfig()).steps()
    assert right.labels == (None, 0.9, 1.0)
    assert wrong.labels == (None, 0.9, 0.0, 0.0)
    rollout = build_labels(trees, StepLabelConfig(source="rollout", label="soft")).steps()
    assert rollout[1].labels == (None, 0.75, 0.25, 0.0)
    finish, sibling = build_labels(trees, PairLabelConfig()).pairs()
    assert (finish.kind, finish.prefix, finish.margin) == ("finish", (OPENER, "Take it."), 0.9)
    assert finish.rejected == ("Halve it.", "So it is 3.5 mg")
    assert finish.chosen_finished and not finish.rejected_finished
    assert (sibling.kind, sibling.rejected) == ("sibling", ("Halve it.",))


@pytest.mark.parametrize("form", ["published", "nested"])
def test_own_trees_give_the_same_step_labels_through_the_published_form(form, tmp_path):
    grown = [
        tree(step(0, 0.75), step(1, 0.5), step(2, 1.0, True), step(2, 0.0, False)),
        tree(step(0, 0.5), step(0, 0.25), step(1, 1.0, True), step(2, 0.0, False), of=question(2)),
    ]
    write_published(tmp_path / "p.jsonl", grown, form)
    imported = [found.tree for found in read_published(tmp_path / "p.jsonl")]
    for config in (StepLabelConfig(), StepLabelConfig(label="hard", source="rollout")):
        own = {(record.bodies, record.labels) for record in build_labels(grown, config).steps()}
        again = {(record.bodies, record.labels) for record in build_labels(imported, config).steps()}
        assert own == again
