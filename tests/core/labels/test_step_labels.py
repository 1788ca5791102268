"""Labels of steps: the formulas, worked by hand, and what holds of all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from meds3core.config.labels import SftLabelConfig, StepLabelConfig
from meds3core.errors import ConfigError, UserError
from meds3core.labels.build import build_labels
from meds3core.labels.prefix import prefix_hash
from meds3core.labels.step_labels import step_label
from meds3core.search.grow import grow
from meds3core.types.labels import LabelKind
from meds3core.types.question import Question
from tests.core.labels.by_hand import question, step, tree
from tests.core.search.toy import make_question, make_tools, small_config
from tests.core.trees import factory

FROM_VALUES = (LabelKind.HARD, LabelKind.SOFT, LabelKind.DUAL, LabelKind.DUAL_HARD)
VALUES = (0.75, 0.5, 0.875, 0.25, 0.0)
unit = st.floats(0, 1)

CHAIN = tree(
    *[step(number, value) for number, value in enumerate(VALUES[:4])],
    step(4, 0.0, False),
    step(3, 1.0, True),
)
"""One wrong trajectory 1-2-3-4-5 with VALUES and a right one 1-2-3-6."""


def labels_of(grown, leaf, judge=None, human=None, **settings):
    found = build_labels([grown], StepLabelConfig(**settings), judge=judge, human=human).steps()
    return next(record.labels for record in found if record.nodes[-1] == leaf)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"label": "soft"}, (0.75, 0.5, 0.875, 0.25, 0.0)),
        ({"label": "hard"}, (1, 1, 1, 1, 0)),
        ({"label": "hard", "threshold": 0.5}, (1, 0, 1, 0, 0)),
        # 0.5 - 0.25; no drop; 0.25 - 0.625 < 0
        ({"label": "dual"}, (0.75, 0.25, 0.875, 0.0, 0.0)),
        # 0.5 - 0.125; no drop; 0.25 - 0.3125 < 0
        ({"label": "dual", "penalty": 0.5}, (0.75, 0.375, 0.875, 0.0, 0.0)),
        ({"label": "dual", "penalty": 0.25}, (0.75, 0.4375, 0.875, 0.09375, 0.0)),
        ({"label": "dual", "penalty_from": 3}, (0.75, 0.5, 0.875, 0.0, 0.0)),
        # 0.25 > 0; 0.875 + 0.375 > 0; 0.25 - 0.625 < 0; 0 - 0.25 < 0
        ({"label": "dual-hard"}, (1, 1, 1, 0, 0)),
        ({"label": "dual-hard", "penalty": 2}, (1, 0, 1, 0, 0)),
    ],
)
def test_worked_by_hand(settings, expected):
    assert labels_of(CHAIN, 5, **settings) == (None, *expected)


def test_the_first_step_is_penalised_against_the_root_only_when_asked_for():
    """The root's value is 0.5 in trees by hand; step 1 fell to 0.25."""
    grown = tree(step(0, 0.25), step(1, 1.0, True), step(1, 0.0, False))
    assert labels_of(grown, 2, label="dual")[1] == 0.25
    assert labels_of(grown, 2, label="dual", penalty_from=1)[1] == 0.0


def test_penalties_come_from_raw_values_and_do_not_compound():
    """The published fault: values 1, 0.75, 0.5, 0.25 lose 0.25 at every step, compounded penalties would grow."""
    falling = tree(step(0, 1.0), step(1, 0.75), step(2, 0.5), step(3, 0.25), step(4, 0.0, False), step(4, 1.0, True))
    assert labels_of(falling, 5, label="dual") == (None, 1.0, 0.5, 0.25, 0.0, 0.0)
    assert labels_of(falling, 6, label="dual") == (None, 1.0, 0.5, 0.25, 0.0, 1.0)


def test_a_step_that_lost_value_is_marked_though_the_answer_is_right():
    grown = tree(step(0, 0.75), step(1, 0.375), step(2, 1.0, True), step(0, 0.0, False))
    assert labels_of(grown, 3, label="dual") == (None, 0.75, 0.0, 1.0)
    assert labels_of(grown, 3, label="soft") == (None, 0.75, 0.375, 1.0)


class Says:
    """A judge with a fixed opinion of all steps but those named."""

    def __init__(self, opinion, **others):
        self.opinion, self.others, self.asked = opinion, others, []

    def judge(self, question, earlier_bodies, body):
        self.asked.append((len(earlier_bodies), body))
        return self.others.get(body.split(".")[0].replace(" ", ""), self.opinion)


REFLECTED = tree(
    step(0, 0.75),
    step(1, 0.5, False),  # wrong answer; the value is that of the reflection below
    step(2, 1.0, True, text="But wait, no. The answer is 7 mg."),
    step(1, 1.0, True),
)


@pytest.mark.parametrize("label", [kind for kind in LabelKind])
@pytest.mark.parametrize("source", ["backup", "rollout"])
def test_a_wrong_answer_has_label_0_everywhere(label, source):
    judge = Says(True) if label in (LabelKind.CONSENSUS, LabelKind.HUMAN) else None
    human = {prefix_hash(REFLECTED.question, [node.text for node in REFLECTED.path(2)]): 1.0}
    for people in (None, human):
        wrong = labels_of(REFLECTED, 2, judge, people, label=label, source=source)
        right = labels_of(REFLECTED, 3, judge, people, label=label, source=source)
        assert wrong[2] == right[2] == 0.0
        assert right[3] == 1.0  # and what follows it is not penalised against the value it had after backup


def test_own_rollouts_as_the_source():
    grown = tree(step(0, 0.75, rollout=0.5), step(1, 0.25, rollout=1.0), step(2, 1.0, True), step(2, 0.0, False))
    assert labels_of(grown, 3, label="soft") == (None, 0.75, 0.25, 1.0)
    assert labels_of(grown, 3, label="soft", source="rollout") == (None, 0.5, 1.0, 1.0)
    assert labels_of(grown, 3, label="dual") == (None, 0.75, 0.0, 1.0)
    assert labels_of(grown, 3, label="dual", source="rollout") == (None, 0.5, 1.0, 1.0)


def test_steps_without_a_value_get_no_label_and_no_penalty_follows_from_them():
    closing = tree(step(0, 0.75), step(1, None), step(2, 0.5), step(3, 1.0, True), step(0, 0.0, False))
    assert labels_of(closing, 4, label="dual") == (None, 0.75, None, 0.5, 1.0)
    counts = build_labels([closing], StepLabelConfig()).counts
    assert counts.dropped == {"steps without a value (source)": 1}


def test_a_closing_answer_without_a_backed_up_value_has_its_verdict():
    closing = tree(step(0, 0.75), step(1, None), step(2, None, True, rollout=1.0), step(0, 0.0, False))
    assert labels_of(closing, 3, label="soft") == (None, 0.75, None, 1.0)


def test_truncated_steps_are_neither_right_nor_wrong():
    cut = tree(step(0, 0.5), step(1, 0.0, truncated=True), step(1, 1.0, True), step(0, 0.0, False))
    records = build_labels([cut], StepLabelConfig()).steps()
    assert [record.nodes for record in records] == [(0, 1, 3), (0, 4)]


def test_only_questions_with_right_and_wrong_trajectories():
    one_sided = tree(step(0, 0.5), step(1, 1.0, True), of=question(2))
    label_set = build_labels([one_sided, CHAIN], StepLabelConfig())
    assert [record.question.id for record in label_set.steps()] == ["q1", "q1"]
    assert label_set.counts.dropped == {
        "trajectories of questions without both right and wrong ones (both_outcomes)": 1
    }
    assert len(build_labels([one_sided, CHAIN], StepLabelConfig(both_outcomes=False)).records) == 3
    wrong = tree(step(0, 0.0, False), of=question(2), policy="p2")  # the other side, in a tree of another iteration
    assert len(build_labels([one_sided, CHAIN, wrong], StepLabelConfig()).records) == 4


def test_a_limit_takes_right_and_wrong_ones_in_turn():
    grown = tree(*[step(0, 0.0, False) for _ in range(5)], step(0, 1.0, True), step(0, 1.0, True))
    nodes = [r.nodes[-1] for r in build_labels([grown], StepLabelConfig(max_trajectories=3)).steps()]
    assert nodes == [1, 6, 7]
    nodes = [r.nodes[-1] for r in build_labels([grown], StepLabelConfig(max_trajectories=6)).steps()]
    assert nodes == [1, 2, 3, 4, 6, 7]


def test_records_lead_back_to_their_nodes():
    record = build_labels([CHAIN], StepLabelConfig()).steps()[0]
    assert record.nodes == (0, 1, 2, 3, 4, 5)
    assert record.origin.tree == CHAIN.content_hash
    for end in range(1, 7):
        assert record.prefix_hashes[end - 1] == prefix_hash(record.question, record.bodies[:end])
    assert [record.correct for record in build_labels([CHAIN], StepLabelConfig()).steps()] == [False, True]
    assert not isinstance(record.question, Question)


def test_consensus_keeps_what_rollouts_and_judge_agree_on():
    """Hard labels 1 1 1 1 0; the judge finds step 2 wrong and cannot judge step 3."""
    judge = Says(True, Thought2=False, Thought3=None)
    label_set = build_labels([CHAIN], StepLabelConfig(label="consensus"), judge=judge)
    assert label_set.steps()[0].labels == (None, 1.0, None, None, 1.0, 0.0)
    assert label_set.counts.dropped == {
        "steps on which rollouts and judge disagree (label)": 1,
        "steps that the judge cannot judge (label)": 1,
    }
    assert len(set(judge.asked)) == len(judge.asked)  # shared steps are judged once
    half = labels_of(CHAIN, 5, Says(False), label="consensus", threshold=0.5)
    assert half == (None, None, 0.0, None, 0.0, 0.0)


def test_a_person_outranks_everything_and_weighs():
    said = {prefix_hash(CHAIN.question, [node.text for node in CHAIN.path(2)]): 0.125}
    record = build_labels([CHAIN], StepLabelConfig(label="soft", human_weight=3.0), human=said).steps()[0]
    assert record.labels == (None, 0.75, 0.125, 0.875, 0.25, 0.0)
    assert record.weights == (1.0, 1.0, 3.0, 1.0, 1.0, 1.0)
    # Penalties still come from raw values: step 3 is compared with 0.5, not with what the person said.
    dual = build_labels([CHAIN], StepLabelConfig(label="dual"), human=said).steps()[0]
    assert dual.labels == (None, 0.75, 0.125, 0.875, 0.0, 0.0)
    assert dual.weights == ()
    consensus = labels_of(CHAIN, 5, Says(False), said, label="consensus")
    assert consensus == (None, None, 0.125, None, None, 0.0)


def test_human_labels_alone():
    said = {prefix_hash(CHAIN.question, [node.text for node in CHAIN.path(2)]): 1.0}
    label_set = build_labels([CHAIN], StepLabelConfig(label="human", human_weight=2.0), human=said)
    assert label_set.steps()[0].labels == (None, None, 1.0, None, None, 0.0)
    assert label_set.counts.dropped["steps that nobody labelled (label)"] == 4  # 1, 3, 4 and 6
    assert labels_of(CHAIN, 6, Says(True), said, label="human") == (None, 1.0, 1.0, 1.0, 1.0)
    nowhere = build_labels([tree(step(0, 0.5), step(1, 1.0, True))],
                           StepLabelConfig(label="human", both_outcomes=False), human=said)  # fmt: skip
    assert nowhere.records == ()
    assert nowhere.counts.dropped["trajectories without a single label (label)"] == 1


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="judge"):
        build_labels([CHAIN], StepLabelConfig(label="consensus"))
    with pytest.raises(ConfigError, match="people"):
        build_labels([CHAIN], StepLabelConfig(label="human"))
    with pytest.raises(ConfigError, match="asks no judge"):
        build_labels([CHAIN], StepLabelConfig(), judge=Says(True))
    with pytest.raises(UserError, match=r"outside \[0, 1\]"):
        build_labels([CHAIN], StepLabelConfig(), human={"x": 1.5})
    with pytest.raises(ValidationError):
        StepLabelConfig(threshold=1.0)


def test_a_reward_models_scores_never_become_labels():
    scored = tree(step(0, 0.75, outcomes=()), step(1, 0.9, True), step(0, 0.2, False))
    label_set = build_labels([scored], StepLabelConfig())
    assert label_set.records == ()
    assert label_set.counts.dropped == {"trees whose values are a reward model's scores, which are no labels": 1}
    assert build_labels([scored], StepLabelConfig(label="human"), judge=Says(True)).records


async def test_a_guided_search_gives_sft_examples_but_no_step_labels():
    """PRM scores are never used as PRM labels (METHOD.md §2); right and wrong come from the verifier all the same."""
    by_scorer = [await grow(make_question(n), make_tools(small_config(simulation="scorer"))) for n in range(4)]
    by_rollouts = [await grow(make_question(n), make_tools(small_config())) for n in range(4)]
    for config in (StepLabelConfig(both_outcomes=False), StepLabelConfig(label="hard", both_outcomes=False)):
        assert not build_labels(by_scorer, config).records
        assert len({record.origin.tree for record in build_labels(by_rollouts, config).steps()}) == 4
    assert build_labels(by_scorer, SftLabelConfig()).records


@given(st.sampled_from(FROM_VALUES), unit, st.none() | unit, st.integers(1, 5), st.floats(0, 3), st.floats(0, 0.99))
def test_labels_lie_in_0_to_1(label, value, previous, number, penalty, threshold):
    config = StepLabelConfig(label=label, penalty=penalty, threshold=threshold)
    assert 0.0 <= step_label(config, number, value, previous) <= 1.0


@given(st.sampled_from(FROM_VALUES), unit, unit, st.none() | unit, st.integers(1, 5), st.floats(0, 3))
def test_labels_never_fall_when_the_value_rises(label, one, other, previous, number, penalty):
    config = StepLabelConfig(label=label, penalty=penalty)
    low, high = sorted((one, other))
    assert step_label(config, number, low, previous) <= step_label(config, number, high, previous)


@given(st.sampled_from((LabelKind.DUAL, LabelKind.DUAL_HARD)), unit, unit, unit, st.integers(2, 5), st.floats(0, 3))
def test_dual_labels_never_rise_when_the_value_before_rises(label, value, one, other, number, penalty):
    config = StepLabelConfig(label=label, penalty=penalty)
    low, high = sorted((one, other))
    assert step_label(config, number, value, low) >= step_label(config, number, value, high)


@given(st.lists(unit, min_size=2, max_size=6), st.sampled_from(FROM_VALUES), st.floats(0, 2), st.data())
def test_a_label_depends_on_two_raw_values_only(values, label, penalty, data):
    """Changing any other value along the trajectory leaves a step's label as it was."""
    config = {"label": label, "penalty": penalty, "both_outcomes": False}

    def labels(chain):
        steps = [step(number, value) for number, value in enumerate(chain)]
        return labels_of(tree(*steps, step(len(chain), 1.0, True)), len(chain) + 1, **config)

    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values[:place], data.draw(unit), *values[place + 1 :]]
    before, after = labels(values), labels(changed)
    for number in range(1, len(values) + 2):
        if number not in (place + 1, place + 2):
            assert before[number] == after[number]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(FROM_VALUES), st.sampled_from(["backup", "rollout"]))
def test_what_holds_of_every_record(seed, label, source):
    grown = factory.tree(seed)
    if not isinstance(grown.question, Question):
        return
    config = StepLabelConfig(label=label, source=source, both_outcomes=False)
    label_set = build_labels([grown], config)
    verdicts = [node.id for node in grown.nodes if node.verdict is not None and not node.truncated]
    assert [record.nodes[-1] for record in label_set.steps()] == verdicts
    for record in label_set.steps():
        assert record.labels[0] is None
        assert record.bodies == tuple(grown.nodes[node].text for node in record.nodes)
        for node, given_label in zip(record.nodes[1:], record.labels[1:], strict=True):
            value = grown.nodes[node].value if source == "backup" else grown.nodes[node].rollout_value
            assert (given_label is None) == (value is None)
            if grown.nodes[node].verdict is False:
                assert given_label == 0.0
            elif label is LabelKind.SOFT:
                assert given_label == value
