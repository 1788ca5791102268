"""A stage that says what is left to gain: where wrong answers first go wrong, and whether the reward model tells right
from wrong among the answers to one question. It explains why a later iteration, DPO or a reward model brings much or
little; only the clinic, whose steps can be checked, allows it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from meds3core.data.write import atomic_text
from meds3core.decoding.samples import SampleSet, read_samples
from meds3core.decoding.scores import ScoreSet, read_scores
from meds3core.decoding.strategies import sample_score
from meds3core.evaluation.intervals import Estimate, bootstrap_mean
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.sandbox.checker import judge_steps
from meds3core.sandbox.questions import case_of
from meds3core.sandbox.study.config import LabelVariant
from meds3core.sandbox.study.reward import FIGURES, PolicyReward, RewardFigures
from meds3core.types.record import Record
from meds3core.types.samples import Sample

ALL = "all"
UNTOLD = "steps right, answer wrong"


class HeadroomStage(Record):
    """Inputs: `greedy`, the greedy answers of `policies` in turn; `samples`, sample sets of `sampled` in turn;
    `reward`, the folder of the `reward` stage that scored these. Makes `figures.json`.
    """

    policies: tuple[str, ...] = Field(min_length=1)
    sampled: tuple[str, ...] = Field(min_length=1)
    resamples: int = Field(default=1000, ge=100)


HEADROOM = StageKind("headroom", 1, HeadroomStage, f"{__name__}:run", ("scipy.stats",), seconds_per_unit=0.0005)


class FirstErrors(Record):
    """Where a policy's wrong greedy answers first go wrong, by what is wrong there."""

    policy: str
    questions: int
    kinds: dict[str, int] = Field(description="Kind of error: answers, most first")


class Family(Record):
    """One family of questions, or all."""

    name: str
    questions: int
    consensus: float = Field(description="Self-consistency with all samples")
    chosen: float = Field(description="The PRM strategy with all samples")
    oracle: float = Field(description="Share of questions with a right answer among the samples")
    mixed: int = Field(description="Questions with right and wrong answers among the samples")
    ranking: Estimate | None = Field(
        description="Chance that a right answer to a mixed question scores above a wrong one to the same; 0.5: a coin"
    )


class PolicyHeadroom(Record):
    """One policy's samples."""

    policy: str
    aggregator: str
    families: tuple[Family, ...]

    @property
    def all(self) -> Family:
        """Over all families."""
        return next(each for each in self.families if each.name == ALL)


class HeadroomFigures(Record):
    """What the stage writes."""

    errors: tuple[FirstErrors, ...]
    sampled: tuple[PolicyHeadroom, ...]


class ErrorRates(Record):
    """Where a policy's greedy answers first go wrong: answers per 100 questions by kind of error, over seeds."""

    policy: str
    kinds: dict[str, float]


class FamilyHeadroom(Record):
    """A family of questions (or `all`) of one policy's samples, over seeds."""

    policy: str
    name: str
    consensus: float
    chosen: float
    oracle: float
    mixed: float = Field(description="Questions with right and wrong answers among the samples")
    ranking: Estimate | None = Field(
        description="Chance that a right answer scores above a wrong one to the same question"
    )


class HeadroomStudy(Record):
    """What is left to gain, and why."""

    variant: LabelVariant
    errors: tuple[ErrorRates, ...]
    families: tuple[FamilyHeadroom, ...]


def run(settings: HeadroomStage, job: StageJob) -> dict[str, Any]:
    """Count first errors and rankings."""
    errors = [
        first_errors(policy, read_samples(folder))
        for policy, folder in zip(settings.policies, job.paths("greedy"), strict=True)
    ]
    reward = job.path("reward")
    rewards = RewardFigures.model_validate_json((reward / FIGURES).read_bytes())
    sampled = []
    for policy, folder in zip(settings.sampled, job.paths("samples"), strict=True):
        samples = read_samples(folder)
        scores = read_scores(reward / f"{policy}-samples", samples)
        sampled.append(policy_headroom(samples, scores, rewards.of(policy), settings.resamples))
    figures = HeadroomFigures(errors=tuple(errors), sampled=tuple(sampled))
    with atomic_text(job.folder / FIGURES) as file:
        file.write(figures.model_dump_json() + "\n")
    return {each.policy: each.all.ranking.value for each in sampled if each.all.ranking is not None}


def first_errors(policy: str, greedy: SampleSet) -> FirstErrors:
    """By the step checker: the kind of the first step with a new error."""
    kinds: Counter[str] = Counter()
    for row in greedy.rows:
        case = case_of(row.question)
        for sample in row.samples:
            if not sample.correct:
                found = (verdict.error for verdict in judge_steps(case, sample.bodies))
                kinds[next((error.value for error in found if error is not None), UNTOLD)] += 1
    return FirstErrors(policy=policy, questions=len(greedy.rows), kinds=dict(kinds.most_common()))


def policy_headroom(samples: SampleSet, scores: ScoreSet, reward: PolicyReward, resamples: int) -> PolicyHeadroom:
    """By family: what strategies reach, what any sample reaches, how answers to one question are ranked."""
    last = reward.at(max(each.n for each in reward.by_n))
    chosen, consensus = (dict(zip(reward.question_ids, side, strict=True)) for side in (last.chosen, last.consensus))
    by_id = {row.question_id: row.scores for row in scores.rows}
    aggregator = reward.choice.aggregator
    members: dict[str, list[str]] = defaultdict(list)
    found: dict[str, float] = {}
    solved: dict[str, float] = {}
    for row in samples.rows:
        name = row.question.id
        for group in (row.question.domain or "", ALL):
            members[group].append(name)
        right, wrong = _split(row.samples, by_id[name], aggregator)
        solved[name] = float(any(sample.correct for sample in row.samples))
        if right and wrong:
            found[name] = pairs_in_order(right, wrong)

    def family(name: str, ids: Sequence[str]) -> Family:
        ranked = [found[each] for each in ids if each in found]
        return Family(
            name=name,
            questions=len(ids),
            consensus=_mean(consensus[each] for each in ids),
            chosen=_mean(chosen[each] for each in ids),
            oracle=_mean(solved[each] for each in ids),
            mixed=len(ranked),
            ranking=bootstrap_mean(ranked, resamples=resamples) if len(ranked) > 1 else None,
        )

    return PolicyHeadroom(
        policy=reward.policy,
        aggregator=aggregator,
        families=tuple(family(name, members[name]) for name in sorted(members, key=lambda each: (each == ALL, each))),
    )


def headroom_study(variant: LabelVariant, runs: Sequence[HeadroomFigures]) -> HeadroomStudy:
    """Over seeds; every run has the same policies and families."""
    errors = []
    for place, first in enumerate(runs[0].errors):
        mine = [run.errors[place] for run in runs]
        kinds = dict.fromkeys(kind for each in mine for kind in each.kinds)
        errors.append(
            ErrorRates(
                policy=first.policy,
                kinds={kind: _mean(100 * each.kinds.get(kind, 0) / each.questions for each in mine) for kind in kinds},
            )
        )
    families = []
    for place, policy in enumerate(runs[0].sampled):
        for number, family in enumerate(policy.families):
            found = [run.sampled[place].families[number] for run in runs]
            families.append(
                FamilyHeadroom(
                    policy=policy.policy,
                    name=family.name,
                    consensus=_mean(each.consensus for each in found),
                    chosen=_mean(each.chosen for each in found),
                    oracle=_mean(each.oracle for each in found),
                    mixed=_mean(each.mixed for each in found),
                    ranking=_mean_ranking(found),
                )
            )
    return HeadroomStudy(variant=variant, errors=tuple(errors), families=tuple(families))


def _mean_ranking(found: Sequence[Family]) -> Estimate | None:
    """The mean over seeds, and the mean of their ends: wider than need be, as seeds differ in their samples."""
    known = [each.ranking for each in found if each.ranking is not None]
    if len(known) < len(found):
        return None
    value, low, high = (_mean(getattr(each, end) for each in known) for end in ("value", "low", "high"))
    return Estimate(value=value, low=low, high=high, n=min(each.n for each in known), method=known[0].method)


def pairs_in_order(right: Sequence[float], wrong: Sequence[float]) -> float:
    """Share of pairs in which the right answer scores higher; a tie counts half."""
    difference = np.subtract.outer(np.asarray(right), np.asarray(wrong))  # [right, wrong]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def _split(
    answers: Sequence[Sample], scores: Sequence[Sequence[float]], aggregator: str
) -> tuple[list[float], list[float]]:
    right: list[float] = []
    wrong: list[float] = []
    for answer, steps in zip(answers, scores, strict=True):
        if steps:
            (right if answer.correct else wrong).append(sample_score(steps, aggregator))
    return right, wrong


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
