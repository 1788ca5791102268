"""Judgements become step labels by the rule that was asked for; whatever is left out is counted with its reason."""

import pytest

from meds3core.config.labels import JudgementLabelConfig
from meds3core.data.labels import read_card, read_labels, write_labels
from meds3core.judgements import labels as reasons
from meds3core.judgements.labels import judged_labels
from meds3core.labels.base import EmptyLabelSet
from meds3core.labels.prefix import prefix_hash
from tests.core.judgements.built import judged


def found(*judgements, **config):
    return judged_labels(judgements, JudgementLabelConfig(**config))


def only(label_set):
    (trajectory,) = label_set.steps()
    return trajectory.labels


def test_judged_steps_of_one_line_join_into_one_trajectory():
    first, third = judged("good", "One."), judged("bad", "One.", "Two.", "Three.", correct=False)
    aside, other = judged("good", "One.", "Else."), judged("bad", "One.", number=2)
    made = found(first, third, aside, other)
    by_steps = {trajectory.bodies[1:]: trajectory for trajectory in made.steps()}
    whole = by_steps["One.", "Two.", "Three."]
    assert whole.labels == (None, 1.0, None, 0.0) and whole.correct is False
    assert whole.prefix_hashes[-1] == prefix_hash(third.question, third.bodies)
    assert by_steps["One.", "Else."].labels == (None, None, 1.0)  # the step in common is labelled once
    assert by_steps["One.", "Else."].correct is None
    assert (made.counts.judgements, made.counts.questions, made.counts.kept) == (4, 2, 3)
    assert found(other, aside, third, first).records == made.records


@pytest.mark.parametrize(
    ("verdicts", "config", "label"),
    [
        (("good", "good", "bad"), {}, 1.0),
        (("good", "bad", "bad"), {}, 0.0),
        (("good", "good", "bad"), {"rule": "mean"}, 2 / 3),
        (("good", "good"), {"rule": "unanimous"}, 1.0),
        (("neutral",), {}, 1.0),
        (("neutral",), {"neutral": "half"}, 0.5),
        (("neutral",), {"neutral": "bad"}, 0.0),
        (("neutral", "bad"), {"neutral": "left-out"}, 0.0),
        (("good", "cant-tell"), {}, 1.0),
    ],
)
def test_several_judgements_become_one_label(verdicts, config, label):
    said = [judged(verdict, who=f"p{number}") for number, verdict in enumerate(verdicts)]
    assert only(found(*said, **config)) == (None, pytest.approx(label))


@pytest.mark.parametrize(
    ("verdicts", "config", "reason"),
    [
        (("good", "bad"), {}, reasons.DIVIDED),
        (("good", "good", "bad"), {"rule": "unanimous"}, reasons.DIVIDED),
        (("good",), {"least": 2}, reasons.FEW),
        (("cant-tell",), {}, reasons.FEW),
        (("good",), {"rule": "adjudicated"}, reasons.UNDECIDED),
        (("neutral",), {"neutral": "left-out"}, reasons.NEUTRAL),
    ],
)
def test_what_gives_no_label_is_counted(verdicts, config, reason):
    said = [judged(verdict, who=f"p{number}") for number, verdict in enumerate(verdicts)]
    made = found(*said, **config)
    assert not made.records and made.counts.dropped[reason] == 1
    with pytest.raises(EmptyLabelSet, match="none became a label"):
        made.require_kept()


@pytest.mark.parametrize("rule", ["majority", "mean", "unanimous", "adjudicated"])
def test_a_reviewer_decides_alone(rule):
    said = [judged("good", who=who) for who in ("a", "b", "c")]
    assert only(found(*said, judged("bad", who="rev", adjudicated=True), rule=rule, least=2)) == (None, 0.0)
    unsure = found(*said, judged("cant-tell", who="rev", adjudicated=True), rule=rule)
    assert not unsure.records and unsure.counts.dropped == {reasons.UNSURE: 1}


def test_a_later_unblinded_word_counts_unless_it_shall_not():
    first, later = judged("good"), judged("bad", blind=False)
    assert only(found(first, later)) == (None, 0.0)
    made = found(first, later, revised=False)
    assert only(made) == (None, 1.0) and made.counts.dropped == {reasons.REVISED: 1}


def test_a_step_that_states_a_wrong_answer_is_wrong_whatever_is_said():
    stated = judged("good", "The answer is B.", correct=False)
    made = found(stated, judged("bad", "One.", correct=True))
    assert [each.labels[-1] for each in made.steps()] == [0.0, 0.0]
    assert made.counts.dropped == {reasons.OVERRULED: 1}
    assert found(judged("bad", "The answer is B.", correct=False)).counts.dropped == {}


def test_what_was_taken_back_in_sight_of_the_scores_counts_no_more():
    """In a trajectory, somebody who now finds an earlier step bad has nothing to say of the later ones."""
    gone = judged("bad", "One.", "Two.", taken_back=True)
    made = found(judged("good", "One."), judged("bad", "One.", blind=False), gone)
    assert only(made) == (None, 0.0) and made.counts.dropped == {reasons.TAKEN_BACK: 1, reasons.FEW: 1}
    assert only(found(judged("good", "One."), gone, revised=False)) == (None, 1.0, 0.0)


def test_a_set_knows_which_steps_chance_chose(tmp_path):
    drawn, chosen = judged("good", "One.", by_chance=True), judged("bad", "Else.", by_chance=False)
    made = found(drawn, chosen, judged("good", "One.", who="bob", by_chance=False), judged("cant-tell", "X."))
    assert made.by_chance == {prefix_hash(drawn.question, drawn.bodies)}
    write_labels(tmp_path / "set", made)
    assert read_labels(tmp_path / "set").by_chance == made.by_chance


def test_control_items_become_no_labels_unless_asked_for():
    planted = judged("good", control="good")
    assert found(planted).counts.dropped == {reasons.CONTROLS: 1}
    assert only(found(planted, controls=True)) == (None, 1.0)


def test_a_set_is_written_and_read_with_its_rule(tmp_path):
    made = found(judged("good", "One."), judged("bad", "One.", "Two."), rule="mean")
    card = write_labels(tmp_path / "set", made)
    assert card == read_card(tmp_path / "set")
    assert (card.kind, card.config.rule, card.counts.judgements) == ("steps", "mean", 2)
    back = read_labels(tmp_path / "set")
    assert back.steps() == made.steps() and back.by_people
    again = write_labels(tmp_path / "again", found(judged("bad", "One.", "Two."), judged("good", "One."), rule="mean"))
    assert again.records_hash == card.records_hash
