"""The last stage: what every stage of the loop was worth, in one file and in one line."""

import json
from typing import Any, get_args

from pydantic import Field

from meds3core.data.write import atomic_text
from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.judging import TruthKind
from meds3core.evaluation.paired import PairedDifference, paired_difference
from meds3core.evaluation.record import Evaluation, StoredEvaluation, read_evaluation
from meds3core.evaluation.selection import Selection
from meds3core.evaluation.stages import StageFigures, StageOutcomes, stage_figures, summary_line
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.report.stages_page import Finding, write_stages_page
from meds3core.types.record import Record

RESULT_FORMAT = "meds3-evolution/1"
RESULT, PAGE = "result.json", "report.html"


class Policy(Record):
    """A policy of the loop. `after`: the one it was trained from; empty for the base."""

    name: str
    after: str = ""
    description: str = ""


class ReportStage(Record):
    """Input: `evaluations`, folders in the order of `policies`. Makes `result.json` and the page `report.html`."""

    policies: tuple[Policy, ...] = Field(min_length=1, description="The base first")
    final: str
    versus: tuple[tuple[str, str], ...] = Field(
        default=(), description="Pairs of policies to compare besides: the second against the first"
    )


REPORT = StageKind("report", 3, ReportStage, f"{__name__}:run", ("scipy.stats",), seconds_per_unit=4.0)


class Versus(Record):
    """Greedy answers of two policies, question by question, second minus first."""

    first: str
    second: str
    accuracy: PairedDifference
    sound: PairedDifference | None = Field(description="Every step and the answer right; None: no judge")


class StepErrors(Record):
    """How well a PRM finds wrong steps: area under the ROC curve, of right answers only in `within_right`.

    `absolute`: a step is wrong that carries an earlier error on; `given-prefix`: only where an error is new.
    """

    policy: str = Field(description="Whose samples were scored")
    truth: TruthKind
    auroc: Estimate | None
    within_right: Estimate | None


class EvolutionResult(Record):
    """What the loop found. Holds nothing that differs between two runs of the same loop: no time, no place."""

    format: str = RESULT_FORMAT
    stages: tuple[StageFigures, ...] = Field(description="Greedy answers, the base first")
    final: str
    versus: tuple[Versus, ...] = ()
    strategies: dict[str, Selection] = Field(default_factory=dict, description="By policy that was sampled")
    step_errors: tuple[StepErrors, ...] = ()
    policy_hashes: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    summary: str


def run(settings: ReportStage, job: StageJob) -> dict[str, Any]:
    """Compare, write, and say it in a line."""
    found = {
        policy.name: read_evaluation(folder)
        for policy, folder in zip(settings.policies, job.paths("evaluations"), strict=True)
    }
    result = evolution_result(settings, found)
    with atomic_text(job.folder / RESULT) as file:
        file.write(json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
    write_stages_page(result.stages, job.folder / PAGE, notes=result.notes, findings=findings(result))
    return {"summary": result.summary}


def findings(result: EvolutionResult) -> list[Finding]:
    """What the page says beside the stages: the control, the strategies, the PRM."""
    found = [Finding(f"{one.second} against {one.first}, greedy", str(one.accuracy)) for one in result.versus]
    for name, selection in result.strategies.items():
        chosen = f"Samples of {name}: {selection.chosen.label}"
        found.append(Finding(chosen, f"{selection.test} ({selection.how})"))
        found += [Finding(f"{chosen} against {each.other.label}", str(each.difference)) for each in selection.against]
    for one in result.step_errors:
        errors = "Wrong steps" if one.truth == "absolute" else "New errors"
        for where, area in (("", one.auroc), (" with a right answer", one.within_right)):
            if area is not None:
                found.append(Finding(f"{errors} in samples of {one.policy}{where}, found by the PRM", f"AUROC {area}"))
    return found


def evolution_result(settings: ReportStage, found: dict[str, StoredEvaluation]) -> EvolutionResult:
    """The figures of all policies from their evaluations."""
    base = settings.policies[0].name
    outcomes = [_outcomes(policy, found[policy.name]) for policy in settings.policies]
    stages = stage_figures(outcomes, base)
    by_name = {stage.name: stage for stage in stages}
    outcome = {one.name: one for one in outcomes}
    return EvolutionResult(
        stages=stages,
        final=settings.final,
        versus=tuple(_versus(outcome[first], outcome[second]) for first, second in settings.versus),
        strategies={
            name: stored.evaluation.selection
            for name, stored in found.items()
            if stored.evaluation.selection is not None
        },
        step_errors=tuple(entry for name, stored in found.items() for entry in _step_errors(name, stored.evaluation)),
        policy_hashes={name: stored.evaluation.policy_hash for name, stored in found.items()},
        notes=tuple(dict.fromkeys(note for stored in found.values() for note in stored.evaluation.notes)),
        summary=summary_line(by_name[base], by_name[settings.final]),
    )


def _outcomes(policy: Policy, stored: StoredEvaluation) -> StageOutcomes:
    greedy = {row.question.id: row.greedy for row in stored.rows if row.greedy is not None}
    sound = {name: float(response.sound) for name, response in greedy.items() if response.sound is not None}
    return StageOutcomes(
        name=policy.name,
        after=policy.after,
        description=policy.description,
        right=({name: float(response.correct is True) for name, response in greedy.items()},),
        sound=(sound,) if sound else (),
    )


def _versus(first: StageOutcomes, second: StageOutcomes) -> Versus:
    return Versus(
        first=first.name,
        second=second.name,
        accuracy=_difference(first.right[0], second.right[0]),
        sound=_difference(first.sound[0], second.sound[0]) if first.sound and second.sound else None,
    )


def _difference(first: dict[str, float], second: dict[str, float]) -> PairedDifference:
    ids = sorted(first.keys() & second.keys())
    return paired_difference([first[name] for name in ids], [second[name] for name in ids])


def _step_errors(policy: str, evaluation: Evaluation) -> list[StepErrors]:
    entries = []
    for scorer in evaluation.scorers.values():
        for truth in get_args(TruthKind):
            area = {figures.scope: figures.auroc for figures in scorer.steps if figures.truth == truth}
            if area:
                entries.append(
                    StepErrors(
                        policy=policy, truth=truth, auroc=area.get("all"), within_right=area.get("right-answers")
                    )
                )
    return entries
