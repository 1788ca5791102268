"""What each stage of the loop was worth: several models on the same questions, each against the base and its parent."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from meds3core.errors import UserError
from meds3core.evaluation.accuracy import accuracy_share
from meds3core.evaluation.intervals import LEVEL, Estimate
from meds3core.evaluation.judging import StepJudge
from meds3core.evaluation.paired import SeedDifferences, p_text, paired_over_seeds
from meds3core.types.record import Record
from meds3core.types.samples import QuestionSamples


class StageOutcomes(Record):
    """One model's responses to the held-out questions, per question id in [0, 1]; one map per seed of the loop.

    A base that no seed touches has one run. `sound`: every step and the answer right, where a judge knows.
    """

    name: str = Field(min_length=1)
    after: str = Field(default="", description="The stage whose model this one was trained from; empty: the base's")
    description: str = ""
    right: tuple[dict[str, float], ...] = Field(min_length=1)
    sound: tuple[dict[str, float], ...] = ()

    @model_validator(mode="after")
    def _as_many_runs(self) -> Self:
        if self.sound and len(self.sound) != len(self.right):
            raise ValueError(f"stage {self.name}: {len(self.right)} runs of right, {len(self.sound)} of sound")
        return self


class StageFigures(Record):
    """A stage in figures. The differences are None for the base itself."""

    name: str
    after: str
    description: str
    runs: int
    accuracy: Estimate = Field(description="Over questions; several runs are averaged by question first")
    against_base: SeedDifferences | None
    against_parent: SeedDifferences | None
    sound: Estimate | None
    sound_against_base: SeedDifferences | None


def stage_outcomes(
    name: str,
    runs: Sequence[Sequence[QuestionSamples]],
    *,
    after: str = "",
    description: str = "",
    judge: StepJudge | None = None,
) -> StageOutcomes:
    """From the samples of each run (greedy: one a question; of several their mean counts)."""
    return StageOutcomes(
        name=name,
        after=after,
        description=description,
        right=tuple(right_by_question(rows) for rows in runs),
        sound=tuple(sound_by_question(rows, judge) for rows in runs) if judge is not None else (),
    )


def right_by_question(rows: Sequence[QuestionSamples]) -> dict[str, float]:
    """Share of a question's samples whose answer is right."""
    return {
        row.question.id: sum(sample.correct is True for sample in row.samples) / max(len(row.samples), 1)
        for row in rows
    }


def sound_by_question(rows: Sequence[QuestionSamples], judge: StepJudge) -> dict[str, float]:
    """Share of a question's samples whose every step and answer are right; unknown questions are left out."""
    found = {}
    for row in rows:
        verdicts = [(sample, judge.judge(row.question, sample.bodies)) for sample in row.samples]
        known = [
            sample.correct is True and all(truth.right_absolutely is True for truth in truths)
            for sample, truths in verdicts
            if truths is not None
        ]
        if known:
            found[row.question.id] = sum(known) / len(known)
    return found


def stage_figures(
    stages: Sequence[StageOutcomes], base: str = "base", *, level: float = LEVEL, seed: int = 0
) -> tuple[StageFigures, ...]:
    """Every stage against the base and against the stage it was trained from, paired by question.

    Raises `UserError` when the base or a parent is not among the stages, `NotPaired` when questions differ.
    """
    by_name = {stage.name: stage for stage in stages}
    if len(by_name) != len(stages):
        raise UserError("two stages have the same name")
    for wanted in (base, *(stage.after for stage in stages if stage.after)):
        if wanted not in by_name:
            raise UserError(f"stage {wanted!r} is not among {', '.join(by_name)}")
    first = by_name[base]
    found = []
    for stage in stages:
        parent = by_name[stage.after or base]
        is_base = stage.name == base
        sound = stage.sound if all(stage.sound) else ()
        found.append(
            StageFigures(
                name=stage.name,
                after=stage.after,
                description=stage.description,
                runs=len(stage.right),
                accuracy=_mean(stage.right, level, seed),
                against_base=None if is_base else paired_over_seeds(first.right, stage.right, level=level, seed=seed),
                against_parent=None
                if is_base
                else paired_over_seeds(parent.right, stage.right, level=level, seed=seed),
                sound=_mean(sound, level, seed) if sound else None,
                sound_against_base=None
                if is_base or not sound or not all(first.sound) or not first.sound
                else paired_over_seeds(first.sound, sound, level=level, seed=seed),
            )
        )
    return tuple(found)


def summary_line(first: StageFigures, last: StageFigures) -> str:
    """base 0.400 [0.370, 0.430] → DPO 2 0.560 [0.530, 0.590]: +0.160 [+0.130, +0.190], p < 0.001, 1,000 questions."""
    line = f"{first.name} {first.accuracy} → {last.name} {last.accuracy}"
    if last.against_base is not None:
        mean = last.against_base.mean
        found = mean.difference
        line += f": {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {p_text(mean.p)}"
    runs = f", {last.runs} seeds" if last.runs > 1 else ""
    return f"{line}, {last.accuracy.n:,} questions{runs}"


def _mean(runs: Sequence[Mapping[str, float]], level: float, seed: int) -> Estimate:
    ids = sorted(runs[0])
    table = np.array([[run[key] for key in ids] for run in runs])
    return accuracy_share(table.mean(axis=0).tolist(), level=level, seed=seed)
