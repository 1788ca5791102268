"""A process reward model that learns from rollouts and people together: whose word counts, and what it must not see."""

import pytest

from meds3core.config.labels import JudgementLabelConfig, PeopleConfig, StepLabelConfig
from meds3core.config.training import SftConfig
from meds3core.data.labels import write_labels
from meds3core.errors import ConfigError
from meds3core.evaluation.labelled import judged_steps, score_together
from meds3core.evaluation.steps_paired import paired_steps
from meds3core.labels.base import LabelSet
from meds3core.labels.people import split_people
from meds3core.prm.base import ScoreItem
from meds3core.prm.loading import load_scorer
from meds3core.text.steps import OPENER
from meds3core.training.base import EmptyTrainingSet
from meds3core.training.methods import TrainJob, read_step_data, records_of, run_job
from meds3core.training.orm import train_orm
from meds3core.training.preview import preview_data
from meds3core.training.rows import one_sided
from meds3core.types.labels import LabelCounts, LabelledTrajectory
from meds3core.types.question import TextFormat
from tests.core.prm.tiny import make_question, write_policy
from tests.core.training.rewards import BAD, CPU, GOOD, make_trajectories, settings_for

ODD = "Ask the weight twice."


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")


def said(label, *steps, number=0):
    labels = (None,) * len(steps) + (label,)
    return LabelledTrajectory(question=make_question(number), bodies=(OPENER, *steps), labels=labels, correct=None)


def write(folder, config, records):
    write_labels(folder, LabelSet(config, tuple(records), LabelCounts(kept=len(records))))
    return folder


@pytest.fixture
def folders(tmp_path):
    """Rollouts that never saw the odd step, people who call it bad and a good one bad where it stands alone."""
    rollouts = [*make_trajectories(24), said(1.0, ODD), said(1.0, GOOD, number=1)]
    rollouts[-2:] = [each.model_copy(update={"correct": True}) for each in rollouts[-2:]]
    people = [said(0.0, ODD, number=number) for number in range(5)]
    return (
        write(tmp_path / "rollouts", StepLabelConfig(), rollouts),
        write(tmp_path / "people", JudgementLabelConfig(), people),
    )


def test_people_s_labels_change_what_is_learnt(policy, folders, tmp_path):
    config = settings_for(epochs=10)
    for name, beside in (("alone", ()), ("together", folders[1:])):
        people = PeopleConfig(held_out=0.0, weight=10.0)
        run_job(
            TrainJob(start=policy, data=folders[0], beside=beside, people=people, config=config, out=tmp_path / name)
        )
    alone, together = (load_scorer(tmp_path / name, CPU) for name in ("alone", "together"))
    odd = [ScoreItem(make_question(number), (OPENER, ODD)) for number in range(5)]
    before, after = ([one.values[1] for one in scorer.score(odd)] for scorer in (alone, together))
    assert max(after) < 0.3 < min(before)
    held_out = [said(0.0, ODD, number=3), said(1.0, GOOD, number=4), said(0.0, BAD, number=4)]
    judged = score_together(held_out, [alone, together])
    figures = paired_steps([judged[0]], [judged[1]], resamples=50)
    assert figures.f1.second > figures.f1.first
    one = judged_steps("Ours", "hash", held_out, together, resamples=50)
    assert (one.trajectories, one.too_long, one.steps[0].f1.value) == (3, 0, figures.f1.second)
    shared = [said(0.0, ODD, number=3), said(1.0, ODD, GOOD, number=3), said(0.0, ODD, BAD, number=3)]
    alike = judged_steps("Ours", "hash", shared, together, resamples=50)
    assert (alike.steps[0].trajectories, alike.steps[0].steps) == (3, 3)  # the first step is counted once
    bare = shared[2].question.model_copy(update={"answer_format": TextFormat(), "id": "elsewhere"})
    again = [*shared, shared[2].model_copy(update={"question": bare})]
    assert judged_steps("Ours", "hash", again, together, resamples=50).steps[0].questions == 1


def test_held_out_questions_are_not_trained_on_and_a_set_alone_is_learnt_whole(folders):
    data = read_step_data(folders, PeopleConfig(held_out=0.5))
    split = split_people([said(0.0, ODD, number=number) for number in range(5)], 0.5)
    assert [each.question.id for each in data.held_out] == [each.question.id for each in split.held_out]
    assert 0 < len(data.held_out) < 5
    judged = {each.question.id for each in data.held_out}
    own = [each for each in data.records if each.correct is None]
    assert not judged & {each.question.id for each in own}
    alone = read_step_data(folders[1:], PeopleConfig(held_out=0.5))
    assert len(alone.records) == 5 and alone.held_out == ()


def test_only_a_process_reward_model_learns_from_several_sets(policy, folders, tmp_path):
    job = TrainJob(start=policy, data=folders[0], beside=folders[1:], config=SftConfig(), out=tmp_path / "sft")
    with pytest.raises(ConfigError, match="only prm"):
        records_of(job)


def test_trajectories_whose_end_nobody_knows_are_nothing_for_an_outcome_model(policy, tmp_path):
    with pytest.raises(EmptyTrainingSet, match="nobody knows"):
        train_orm(policy, [said(0.0, ODD)], settings_for(), tmp_path / "orm")
    assert one_sided([said(0.0, ODD), said(1.0, GOOD)]) == ""
    assert one_sided([said(0.0, ODD), said(0.0, GOOD)]) == "wrong"


def test_a_preview_counts_people_s_steps(policy):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy)
    found = preview_data("prm", [said(0.0, ODD), said(1.0, GOOD)], tokenizer, settings_for(), 600)
    assert (found.used, found.trained_tokens, found.problem) == (2, 2, "")
    assert dict(found.classes[0].rows) == {"end not known": 2}
    assert found.examples[0].note == "end not known"
