"""Labels from people among labels from rollouts: who outranks whom, what is left out, what is learnt from once."""

import pytest

from meds3core.config.labels import PeopleConfig
from meds3core.labels.people import combine_labels, split_people
from meds3core.labels.prefix import prefix_hashes
from meds3core.types.labels import LabelledTrajectory
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


def test_a_step_that_states_a_wrong_answer_stays_wrong():
    made = combine_labels(ROLLOUTS, [trajectory("a x", (None, 1.0), correct=None)], PeopleConfig())
    assert made.trajectories == tuple(ROLLOUTS) and made.changed == 1


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


def test_what_is_held_out_depends_on_the_question_alone():
    some = [trajectory("a", (1.0,), number=number) for number in range(200)]
    split = split_people(some, 0.25)
    assert 30 < len(split.held_out) < 70 and len(split.training) + len(split.held_out) == 200
    more = split_people([*(trajectory("a b", (1.0, 0.0), number=number) for number in range(300)), *some], 0.25)
    held, trained = ({each.question.id for each in part} for part in (more.held_out, more.training))
    assert {each.question.id for each in split.held_out} <= held and not held & trained
    assert split_people(some, 0.0).held_out == ()
