"""SFT sets: which right trajectories are imitated."""

from hypothesis import given
from hypothesis import strategies as st

from meds3core.config.labels import SftLabelConfig
from meds3core.labels.build import build_labels
from meds3core.labels.prefix import prefix_hash
from meds3core.text.steps import OPENER
from meds3core.types.question import Question
from tests.core.labels.by_hand import question, step, tree

THREE_RIGHT = tree(
    step(0, 0.6),
    step(1, 0.9),
    step(2, 1.0, True),  # 3: 0.6
    step(0, 0.8),
    step(4, 0.7),
    step(5, 1.0, True),  # 6: 0.7
    step(0, 0.5),
    step(7, 1.0, True),  # 8: 0.5
    step(0, 0.0, False),
)


def test_best_by_minimum_value_first_and_at_most_per_question():
    examples = build_labels([THREE_RIGHT], SftLabelConfig(per_question=2)).sft()
    assert [(example.node, example.weakest) for example in examples] == [(6, 0.7), (3, 0.6)]
    assert examples[0].bodies == (OPENER, "Thought 4.", "Thought 5.", "Thought 6. The answer is 7 mg.")


def test_what_was_dropped_is_counted():
    counts = build_labels([THREE_RIGHT], SftLabelConfig(per_question=2)).counts
    assert (counts.trees, counts.questions, counts.kept) == (1, 1, 2)
    assert counts.dropped == {
        "trajectories with a wrong answer": 1,
        "right trajectories beyond the best (per_question)": 1,
    }


def test_every_record_remembers_where_it_came_from():
    example = build_labels([THREE_RIGHT], SftLabelConfig()).sft()[0]
    assert example.origin.tree == THREE_RIGHT.content_hash
    assert (example.origin.policy_hash, example.origin.prompt_hash) == ("p1", "t1")
    assert example.prefix_hash == prefix_hash(THREE_RIGHT.question, example.bodies)
    assert not isinstance(example.question, Question)  # no gold answer travels with it


def test_a_question_solved_everywhere_keeps_only_the_best():
    solved = tree(step(0, 0.6), step(1, 1.0, True), step(0, 0.8), step(3, 1.0, True), of=question(2))
    assert [example.node for example in build_labels([solved], SftLabelConfig()).sft()] == [4]
    assert build_labels([solved], SftLabelConfig(per_solved_question=0)).records == ()
    assert len(build_labels([solved], SftLabelConfig(per_solved_question=9, per_question=1)).records) == 1


def test_solved_means_in_every_tree_of_the_question():
    solved = tree(step(0, 0.6), step(1, 1.0, True), step(0, 0.8), step(3, 1.0, True))
    failed = tree(step(0, 0.0, False), policy="p2")
    assert len(build_labels([solved, failed], SftLabelConfig()).records) == 2


def test_trees_of_two_iterations_share_a_questions_limit_and_equal_texts_count_once():
    first = tree(step(0, 0.6, text="Same."), step(1, 1.0, True, text="End."), step(0, 0.0, False))
    second = tree(
        step(0, 0.9, text="Same."), step(1, 1.0, True, text="End."), step(0, 0.7), step(3, 1.0, True), policy="p2"
    )
    label_set = build_labels([first, second], SftLabelConfig(per_question=2))
    assert label_set.counts.questions == 1
    assert [(e.origin.policy_hash, e.node, e.weakest) for e in label_set.sft()] == [("p2", 2, 0.9), ("p2", 4, 0.7)]
    assert label_set.counts.dropped["right trajectories that say the same as a better one"] == 1
    renamed = second.model_copy(update={"question": second.question.model_copy(update={"id": "other"})})
    assert len(build_labels([first, renamed], SftLabelConfig(per_question=2)).records) == 2


def test_trajectories_that_took_an_answer_back_are_left_out_unless_asked_for():
    reflected = tree(step(0, 0.6), step(1, 0.5, False), step(2, 1.0, True, text="But wait, no. The answer is 7 mg."))
    left_out = build_labels([reflected], SftLabelConfig())
    assert left_out.records == ()
    assert left_out.counts.dropped["right trajectories that took an answer back (reflected)"] == 1
    (example,) = build_labels([reflected], SftLabelConfig(reflected=True)).sft()
    assert example.node == 3
    assert example.weakest == 0.0  # a wrong answer has value 0, whatever was found below it


def test_a_right_answer_that_goes_on_ends_a_trajectory_of_its_own():
    goes_on = tree(step(0, 0.6), step(1, 0.9, True), step(2, 0.0, False))
    assert [example.node for example in build_labels([goes_on], SftLabelConfig()).sft()] == [2]


def test_the_same_tree_twice_counts_once():
    label_set = build_labels([THREE_RIGHT, THREE_RIGHT], SftLabelConfig())
    assert len(label_set.records) == 3
    assert label_set.counts.dropped["trees that were given twice"] == 1


def test_valueless_steps_do_not_count_for_the_minimum():
    closing = tree(step(0, 0.6), step(1, None), step(2, 1.0, True), step(0, 0.0, False))
    assert build_labels([closing], SftLabelConfig()).sft()[0].weakest == 0.6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 5))
def test_the_kept_ones_are_never_worse_than_the_dropped(values, limit):
    steps = [step(0, 0.0, False)]
    for value in values:
        steps += [step(0, value), step(len(steps) + 1, 1.0, True)]
    kept = [example.weakest for example in build_labels([tree(*steps)], SftLabelConfig(per_question=limit)).sft()]
    assert kept == sorted(values, reverse=True)[:limit]
