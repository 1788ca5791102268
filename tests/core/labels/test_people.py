"""Labels from people among labels from rollouts: who outranks whom, what is left out, what is learnt from once."""

import pytest

from meds3core.config.labels import JudgementLabelConfig, PeopleConfig
from meds3core.labels.people import PeopleSet, combine_labels, labels_of, latest_labels, split_people
from meds3core.labels.prefix import prefix_hashes
from meds3core.types.labels import LabelledTrajectory
from meds3core.types.question import OpenQuestion, TextFormat
from tests.core.judgements.built import question

OPENER = "Begin."


def trajectory(steps, labels, *, correct=True, number=1, named=True, weights=()):
    bodies = (OPENER, *steps.split())
    asked = question(number)
    return LabelledTrajectory(
        question=asked,
        bodies=bodies,
        labels=(None, *labels),
        weights=weights,
        prefix_hashes=tuple(prefix_hashes(asked, bodies)) if named else (),
        correct=correct,
    )


ROLLOUTS = [trajectory("a b c", (0.9, 0.6, 1.0)), trajectory("a x", (0.9, 0.0), correct=False)]


@pytest.mark.parametrize("named", [True, False])
def test_a_person_outranks_rollouts_wherever_the_step_stands(named):
    said = [trajectory("a", (0.0,), correct=None, named=named)]
    made = combine_labels(ROLLOUTS, said, PeopleConfig(weight=3.0))
    first, second = made.trajectories
    assert first.labels == (None, 0.0, 0.6, 1.0) and first.weights == (1.0, 3.0, 1.0, 1.0)
    assert second.labels == (None, 0.0, 0.0) and second.weights == (1.0, 3.0, 1.0)
    assert (made.judged, made.changed, made.kept, made.added) == (1, 1, 0, 0)


def test_what_no_rollout_goes_through_is_learnt_from_once():
    said = [trajectory("a y z", (1.0, 1.0, 0.0), correct=None), trajectory("a y", (None, 0.0), correct=None)]
    made = combine_labels(ROLLOUTS, said, PeopleConfig(weight=2.0))
    own = made.trajectories[2]
    assert len(made.trajectories) == 3  # the mean of two words on y stands once
    assert own.labels == (None, None, 0.5, 0.0) and own.weights == (1.0, 1.0, 2.0, 2.0)
    assert (made.judged, made.kept, made.added) == (3, 1, 2)


def test_a_step_that_states_a_wrong_answer_stays_wrong_wherever_it_stands():
    after = trajectory("a x y", (0.9, 0.0, 0.5))  # the answer was taken back
    said = [trajectory("a x", (None, 1.0), correct=None), trajectory("a w", (None, 1.0), correct=False)]
    made = combine_labels([*ROLLOUTS, after], said, PeopleConfig(weight=2.0))
    labels = {each.bodies[1:]: each.labels for each in made.trajectories}
    assert labels["a", "x"] == (None, 0.9, 0.0) and labels["a", "x", "y"] == (None, 0.9, 0.0, 0.5)
    assert labels["a", "w"] == (None, None, 0.0)  # no rollout trajectory goes through it
    assert not any(each.weights for each in made.trajectories)  # a rule's labels weigh as they did
    assert (made.changed, made.kept, made.added) == (0, 1, 1)


def test_a_step_that_rollouts_did_not_label_is_learnt_from_in_a_trajectory_of_its_own():
    rollouts = [trajectory("a b", (None, 1.0))]
    made = combine_labels(rollouts, [trajectory("a", (0.0,), correct=None)], PeopleConfig())
    assert made.trajectories[0] == rollouts[0] and made.trajectories[1].labels == (None, 0.0)
    assert made.added == 1


def test_consensus_leaves_out_what_is_disputed():
    said = [trajectory("a b", (1.0, 0.0), correct=None)]
    made = combine_labels(ROLLOUTS, said, PeopleConfig(rule="consensus", weight=5.0))
    assert made.trajectories[0].labels == (None, 0.9, None, 1.0)  # the rollouts' label where both agree
    assert made.trajectories[0].weights == (1.0, 5.0, 1.0, 1.0)
    assert (made.kept, made.disputed, made.changed, made.added) == (1, 1, 0, 0)
    strict = combine_labels(ROLLOUTS, said, PeopleConfig(rule="consensus", judged_only=True))
    assert [each.labels for each in strict.trajectories] == [(None, 0.9, None, None), (None, 0.9, None)]
    assert strict.unjudged == 2


def test_a_question_known_by_its_text_alone_is_the_same_question():
    """As files from elsewhere have it: its steps meet the rollouts', and it is kept out with them."""
    asked = [OpenQuestion(id="x", text=question(number).text, answer_format=TextFormat()) for number in range(1, 50)]
    bare = [trajectory("a", (0.0,)).model_copy(update={"question": each, "prefix_hashes": ()}) for each in asked]
    made = combine_labels(ROLLOUTS, bare[:1], PeopleConfig(weight=3.0))
    assert [each.labels[1] for each in made.trajectories] == [0.0, 0.0] and (made.changed, made.added) == (1, 0)
    whole = [trajectory("a", (0.0,), number=number) for number in range(1, 50)]
    kept_out = [{each.question.text for each in split_people(some, 0.4).held_out} for some in (bare, whole)]
    assert kept_out[0] == kept_out[1] != set()


def test_what_is_held_out_depends_on_the_question_alone():
    some = [trajectory("a", (1.0,), number=number) for number in range(200)]
    split = split_people(some, 0.25)
    assert 30 < len(split.held_out) < 70 and len(split.training) + len(split.held_out) == 200
    more = split_people([*(trajectory("a b", (1.0, 0.0), number=number) for number in range(300)), *some], 0.25)
    held, trained = ({each.question.id for each in part} for part in (more.held_out, more.training))
    assert {each.question.id for each in split.held_out} <= held and not held & trained
    assert split_people(some, 0.0).held_out == ()


A, B = frozenset({"a"}), frozenset({"b"})
MAJORITY, DECIDED = JudgementLabelConfig(), JudgementLabelConfig(rule="adjudicated")


def frozen_set(*records, queues=A, config=MAJORITY):
    return PeopleSet(records, queues, config)


def labels_by_step(records):
    return {each.bodies[1:]: each.labels[1:] for each in records}


def test_of_sets_frozen_of_the_same_queue_the_later_one_counts():
    first = frozen_set(trajectory("a b", (0.0, 1.0)), trajectory("x", (1.0,)))
    again = frozen_set(trajectory("a b", (1.0, None)))  # b is disputed now, x was withdrawn
    assert latest_labels([first, again]) == list(again.records)
    assert latest_labels([again, first]) == list(first.records)
    made = combine_labels(ROLLOUTS, latest_labels([first, again]), PeopleConfig(weight=1.0))
    assert {each.labels[1] for each in made.trajectories} == {1.0}  # not the mean of what was said and its correction


def test_of_sets_with_a_queue_in_common_the_later_label_of_a_step_counts():
    wide = frozen_set(trajectory("a b", (0.0, 1.0)), trajectory("y", (1.0,)), queues=A | B)
    later = frozen_set(trajectory("a", (1.0,)))
    assert labels_by_step(latest_labels([wide, later])) == {("a", "b"): (None, 1.0), ("y",): (1.0,), ("a",): (1.0,)}
    decided = frozen_set(trajectory("a", (1.0,)), config=DECIDED)  # by another rule: it says nothing of the others
    earlier = frozen_set(trajectory("a b", (0.0, 1.0)))
    assert labels_by_step(latest_labels([earlier, decided])) == {("a", "b"): (None, 1.0), ("a",): (1.0,)}


def test_people_of_different_queues_all_have_their_word():
    sets = [frozen_set(trajectory("a", (0.0,))), frozen_set(trajectory("a", (1.0,)), queues=B)]
    unknown = PeopleSet((trajectory("a", (1.0,)),))
    assert len(latest_labels([*sets, unknown, unknown])) == 4


def test_labels_of_some_steps_alone():
    given = [trajectory("a b", (0.0, 1.0)), trajectory("x", (1.0,))]
    (kept,) = labels_of(given, {list(prefix_hashes(question(1), (OPENER, "a", "b")))[-1]})
    assert kept.labels == (None, None, 1.0) and kept.bodies == given[0].bodies
