"""Stages against the base: paired by question, over seeds, and refused where they cannot be."""

import pytest

from meds3core.errors import UserError
from meds3core.evaluation.judging import ClinicJudge
from meds3core.evaluation.paired import NotPaired
from meds3core.evaluation.stages import StageOutcomes, stage_figures, stage_outcomes, summary_line
from tests.core.evaluation.builders import clinic_rows


def outcomes(name, *runs, after=""):
    return StageOutcomes(name=name, after=after, right=tuple({str(i): v for i, v in enumerate(run)} for run in runs))


def test_each_stage_is_set_against_base_and_parent():
    stages = [
        outcomes("base", [0, 0, 1, 0]),
        outcomes("sft", [1, 0, 1, 0], [0, 1, 1, 1]),
        outcomes("dpo", [1, 1, 1, 0], [1, 1, 1, 1], after="sft"),
    ]
    base, sft, dpo = stage_figures(stages)
    assert base.against_base is None and base.against_parent is None and base.accuracy.value == 0.25
    assert [each.difference.value for each in sft.against_base.seeds] == [0.25, 0.5]
    assert sft.against_base.mean.difference.value == 0.375 and sft.runs == 2
    assert sft.against_parent == sft.against_base
    assert dpo.against_base.mean.difference.value == 0.625
    assert dpo.against_parent.mean.difference.value == 0.25
    assert summary_line(base, dpo).startswith("base 0.250 [0.046, 0.699] → dpo 0.875 [")
    assert summary_line(base, dpo).endswith("4 questions, 2 seeds")


def test_from_samples_with_a_judge():
    judge = ClinicJudge()
    base = stage_outcomes("base", [clinic_rows(60, 1, seed=1)], judge=judge)
    better = stage_outcomes("better", [clinic_rows(60, 1, seed=2, rate_scale=0.1)], judge=judge)
    _, found = stage_figures([base, better])
    assert found.against_base.mean.difference.value > 0.1
    assert found.sound.value <= found.accuracy.value
    assert found.sound_against_base.mean.difference.value > 0.1


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(UserError, match="'base' is not among sft"):
        stage_figures([outcomes("sft", [1])])
    with pytest.raises(UserError, match="same name"):
        stage_figures([outcomes("base", [1]), outcomes("base", [0])])
    with pytest.raises(NotPaired):
        stage_figures([outcomes("base", [1, 0]), outcomes("sft", [1])])
