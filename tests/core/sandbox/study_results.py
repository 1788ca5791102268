"""Figures of a study made by hand."""

from datetime import date

from meds3core.evaluation.judging import StepTruth
from meds3core.evaluation.paired import paired_over_seeds
from meds3core.evaluation.stages import StageOutcomes, stage_figures
from meds3core.evaluation.steps import FlagThresholds, JudgedTrajectory, step_figures
from meds3core.sandbox.study.compared import best_variants
from meds3core.sandbox.study.config import STUDY_PRESETS, LabelVariant
from meds3core.sandbox.study.result import StudyResult, label_study
from meds3core.sandbox.study.reward import Area, AtN, Choice, PolicyReward, RewardFigures
from meds3core.types.labels import LabelKind

IDS = tuple(f"q{number:03d}" for number in range(100))
TODAY = date(2026, 1, 2)
DUAL = LabelVariant(label=LabelKind.DUAL, source="rollout")
SOFT = LabelVariant(label=LabelKind.SOFT, source="rollout")
HARD = LabelVariant(label=LabelKind.HARD, source="rollout")
SOFT_BACKUP = LabelVariant(label=LabelKind.SOFT, source="backup")
SOFT_8 = LabelVariant(label=LabelKind.SOFT, source="rollout", rollouts=8)


def make_trajectories(scores, right_answer=True):
    """Question i has one step that is right and one that is wrong, with these scores."""
    right = StepTruth(right_absolutely=True, right_given_prefix=True)
    wrong = StepTruth(right_absolutely=False, right_given_prefix=False)
    return [JudgedTrajectory(IDS[number], pair, (right, wrong), right_answer) for number, pair in enumerate(scores)]


def make_reward(share, area=0.8, *, validation=None, validation_area=None, consensus=0.5, spread=0.01):
    """A reward model that is right on the first `share` of all questions, for both policies."""
    count = len(IDS)
    draws = tuple(area + spread * ((number % 21) - 10) / 10 for number in range(100))
    chosen = right_on_first(share, count)
    policies = []
    for policy in ("base", "final"):
        policies.append(
            PolicyReward(
                policy=policy,
                choice=Choice(strategy="vote-sum", aggregator="min", accuracy=validation or share, consensus=consensus),
                validation_area=validation_area or area,
                question_ids=IDS,
                by_n=tuple(
                    AtN(n=n, chosen=chosen, consensus=right_on_first(consensus, count), oracle=0.9) for n in (4, 16)
                ),
                areas=tuple(
                    Area(truth=truth, scope=scope, value=area - less, draws=tuple(one - less for one in draws))
                    for truth in ("absolute", "given-prefix")
                    for scope, less in (("all", 0.0), ("right-answers", 0.1))
                ),
                thresholds=FlagThresholds(),
                found=step_figures(make_trajectories([(0.9, 0.2)] * 5), "absolute", resamples=100),
            )
        )
    return RewardFigures(policies=tuple(policies))


def right_on_first(share, count):
    return tuple(float(number < round(share * count)) for number in range(count))


def make_outcomes(name, after, *shares, sound=None):
    runs = tuple(dict(zip(IDS, right_on_first(share, len(IDS)), strict=True)) for share in shares)
    sounds = tuple(dict(zip(IDS, right_on_first(each, len(IDS)), strict=True)) for each in (sound or shares))
    return StageOutcomes(name=name, after=after, right=runs, sound=sounds)


def make_result(*, sft=(0.6, 0.62), control=(0.42, 0.41), final=(0.6, 0.62), measured=None, **changes):
    outcomes = [
        make_outcomes("base", "", 0.4),
        make_outcomes("sft-1", "base", *sft),
        make_outcomes("control-1", "base", *control),
        make_outcomes("dpo-2", "sft-1", *final),
    ]
    measured = measured or {DUAL: [make_reward(0.6)] * 2, SOFT: [make_reward(0.55)] * 2}
    seeds = len(sft)
    fields = {
        "config": STUDY_PRESETS["full"],
        "seeds": tuple(range(1, seeds + 1)),
        "finished": True,
        "final": "dpo-2",
        "stages": stage_figures(outcomes),
        "against_first": (("dpo-2", paired_over_seeds(outcomes[1].right, outcomes[3].right)),),
        "chosen": best_variants(STUDY_PRESETS["full"], measured),
        "kept": label_study(measured),
    }
    return StudyResult(**(fields | changes))
