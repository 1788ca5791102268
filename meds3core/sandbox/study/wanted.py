"""The figures that were wanted of the clinic, beside the measured ones; whether they are met is said by rule."""

from meds3core.evaluation.stages import StageFigures
from meds3core.report.wording import MET, plain, points
from meds3core.sandbox.study.config import LabelVariant
from meds3core.sandbox.study.result import RewardLine, StudyResult
from meds3core.types.record import Record

SFT, CONTROL = "sft-1", "control-1"
GREEDY_GAIN, SOUND_GAIN, CONTROL_SHARE, P = 0.12, 0.15, 0.25, 0.01
AREA, AREA_WITHIN = 0.85, 0.72


class Wanted(Record):
    """One line. `met` is None where the study has not measured it (yet)."""

    wanted: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return MET[self.met]


def wanted_figures(result: StudyResult) -> list[Wanted]:
    """All lines, in the order in which they were asked for."""
    stages = {stage.name: stage for stage in result.stages}
    lines = [_greedy(stages), _control(stages), _sound(stages)]
    lines += [_no_loss(name, result) for name in (each[0] for each in result.against_first)]
    best = result.chosen.selection if result.chosen else None
    finder = result.chosen.finding if result.chosen else None
    for policy in ("base", "final"):
        lines.append(_selection(policy, line_of(result, best, policy)))
    for policy in ("base", "final"):
        lines.append(_area(policy, "all", AREA, line_of(result, finder, policy)))
        lines.append(_area(policy, "right-answers", AREA_WITHIN, line_of(result, finder, policy)))
    return lines


def line_of(result: StudyResult, variant: LabelVariant | None, policy: str) -> RewardLine | None:
    """A variant's figures on one policy, over all seeds."""
    if result.kept is None or variant is None:
        return None
    return next(line for line in result.kept.lines if (line.variant, line.policy) == (variant, policy))


def _greedy(stages: dict[str, StageFigures]) -> Wanted:
    wanted = f"SFT of iteration 1: greedy at least +{100 * GREEDY_GAIN:.0f} points over the base, p < {P}"
    found = stages[SFT].against_base if SFT in stages else None
    if found is None:
        return Wanted(wanted=wanted, measured="–", met=None)
    met = found.mean.difference.value >= GREEDY_GAIN and found.mean.p < P
    return Wanted(wanted=wanted, measured=points(found.mean), met=met)


def _control(stages: dict[str, StageFigures]) -> Wanted:
    wanted = "the control gains at most a quarter of that"
    sft = stages[SFT].against_base if SFT in stages else None
    control = stages[CONTROL].against_base if CONTROL in stages else None
    if sft is None or control is None:
        return Wanted(wanted=wanted, measured="–", met=None)
    gain, own = sft.mean.difference.value, control.mean.difference.value
    met = own <= CONTROL_SHARE * gain if gain > 0 else False
    share = f", {own / gain:.0%} of it" if gain > 0 else ""
    return Wanted(wanted=wanted, measured=f"{points(control.mean)}{share}", met=met)


def _sound(stages: dict[str, StageFigures]) -> Wanted:
    wanted = f"SFT of iteration 1: every step right at least +{100 * SOUND_GAIN:.0f} points over the base"
    found = stages[SFT].sound_against_base if SFT in stages else None
    if found is None:
        return Wanted(wanted=wanted, measured="–", met=None)
    return Wanted(wanted=wanted, measured=points(found.mean), met=found.mean.difference.value >= SOUND_GAIN)


def _no_loss(name: str, result: StudyResult) -> Wanted:
    found = dict(result.against_first)[name].mean
    return Wanted(
        wanted=f"{name}: no loss against SFT of iteration 1 beyond the interval",
        measured=points(found),
        met=found.difference.high >= 0,
    )


def _selection(policy: str, line: RewardLine | None) -> Wanted:
    wanted = f"a PRM strategy beats self-consistency at the same n, samples of {policy}"
    if line is None:
        return Wanted(wanted=wanted, measured="–", met=None)
    found = line.last.difference.mean
    measured = f"{points(found)} (n = {line.last.n}; {line.variant.kind})"
    return Wanted(wanted=wanted, measured=measured, met=found.difference.low > 0)


def _area(policy: str, scope: str, least: float, line: RewardLine | None) -> Wanted:
    where = "overall" if scope == "all" else "inside right answers"
    wanted = f"step-error AUROC at least {least} {where}, samples of {policy}"
    found = None if line is None else line.area("absolute", scope).mean
    if line is None or found is None:
        return Wanted(wanted=wanted, measured="–", met=None)
    return Wanted(wanted=wanted, measured=f"{plain(found)} ({line.variant.kind})", met=found.value >= least)
