"""From people's judgements to a set of step labels: each step's judgements become one label, steps join into
trajectories.

What a person said of a step holds in its context alone (`meds3core.labels.prefix`), so judgements of one step are found
together whatever queue or file they come from.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meds3core.config.labels import JudgementLabelConfig
from meds3core.labels.base import LabelSet, Tally
from meds3core.labels.prefix import prefix_hash, prefix_hashes
from meds3core.types.judgements import StepJudgement, Verdict
from meds3core.types.labels import LabelCounts, LabelledTrajectory
from meds3core.types.question import TextFormat

CONTROLS = "judgements of planted control items (controls)"
REVISED = "judgements made in sight of the scores (revised)"
TAKEN_BACK = "judgements whose maker ended before that step in sight of the scores (revised)"
UNSURE = "judgements that could not tell"
FEW = "steps with too few judgements (least)"
DIVIDED = "steps on which people are divided (rule)"
UNDECIDED = "steps that no reviewer decided (rule)"
NEUTRAL = "neutral steps (neutral)"
OVERRULED = "good words on steps that state a wrong answer: their label is 0"

_NEUTRAL: dict[str, float | None] = {"good": 1.0, "half": 0.5, "bad": 0.0, "left-out": None}


@dataclass(frozen=True, slots=True)
class _Step:
    """A judged step: one of its judgements, which tells where it stands, and its label."""

    judgement: StepJudgement
    name: str
    label: float


def judged_labels(judgements: Iterable[StepJudgement], config: JudgementLabelConfig) -> LabelSet:
    """The label set of these judgements. It may be empty: `LabelSet.require_kept`.

    A step that states a wrong answer has label 0, whatever is said of it: a rule has checked it.

    Does not depend on the order of the judgements, but where one person judged one step several times: the last one
    counts among equals. Questions come in order of their texts' hashes, their trajectories in order of their
    steps' names.
    """
    dropped: Tally = Tally()
    steps: dict[str, list[StepJudgement]] = defaultdict(list)
    given = list(judgements)
    for judgement in given:
        if judgement.control is not None and not config.controls:
            dropped[CONTROLS] += 1
        else:
            steps[prefix_hash(judgement.question, judgement.bodies)].append(judgement)
    questions: dict[str, list[_Step]] = defaultdict(list)
    by_chance: set[str] = set()
    for name, said in steps.items():
        label = step_label(said, config, dropped)
        if label and any(one.correct is False for one in said):
            dropped[OVERRULED] += 1
            label = 0.0
        if label is not None:
            # Names and ids play no part in the step's name: the least of them, so that order plays none either.
            told = min(said, key=lambda one: (_is_bare(one), one.correct is None, one.question.id, one.origin.tree))
            questions[told.question.text_hash].append(_Step(told, name, label))
            if any(one.by_chance for one in said):
                by_chance.add(name)
    records = [trajectory for _, found in sorted(questions.items()) for trajectory in _trajectories(found)]
    counts = LabelCounts(
        judgements=len(given),
        questions=len(questions),
        kept=len(records),
        dropped={reason: times for reason, times in sorted(dropped.items()) if times},
    )
    return LabelSet(config, tuple(records), counts, frozenset(by_chance))


def step_label(said: Sequence[StepJudgement], config: JudgementLabelConfig, dropped: Tally) -> float | None:
    """One label for a step, in [0, 1]; None: it gets none, and `dropped` says why.

    A reviewer's word decides alone. Else everybody has one vote: the last one, or without `config.revised` the
    first, blind one. majority: more than half of the votes; mean: their mean; unanimous: all the same.
    """
    final = [one for one in said if one.adjudicated]
    if final:
        return _value(final[-1].verdict, config, dropped)
    if config.rule == "adjudicated":
        dropped[UNDECIDED] += 1
        return None
    votes: dict[str, Verdict] = {}
    for one in said:
        if one.taken_back and config.revised:
            dropped[TAKEN_BACK] += 1
        elif one.blind:
            votes.setdefault(one.annotator, one.verdict)
        elif config.revised:
            votes[one.annotator] = one.verdict
        else:
            dropped[REVISED] += 1
    told = [verdict for verdict in votes.values() if verdict is not Verdict.CANT_TELL]
    dropped[UNSURE] += len(votes) - len(told)
    if len(told) < config.least:
        dropped[FEW] += 1
        return None
    values = [_NEUTRAL[config.neutral] if one is Verdict.NEUTRAL else float(one is Verdict.GOOD) for one in told]
    sure = [value for value in values if value is not None]
    if len(sure) < config.least:
        dropped[NEUTRAL] += 1
        return None
    if config.rule == "mean":
        return sum(sure) / len(sure)
    most = max(set(sure), key=sure.count)
    enough = sure.count(most) == len(sure) if config.rule == "unanimous" else 2 * sure.count(most) > len(sure)
    if not enough:
        dropped[DIVIDED] += 1
        return None
    return most


def _is_bare(one: StepJudgement) -> bool:
    """Whether of its question perhaps no more is known than the text."""
    return isinstance(one.question.answer_format, TextFormat)


def _value(verdict: Verdict, config: JudgementLabelConfig, dropped: Tally) -> float | None:
    if verdict is Verdict.CANT_TELL:
        dropped[UNSURE] += 1
        return None
    if verdict is not Verdict.NEUTRAL:
        return float(verdict is Verdict.GOOD)
    value = _NEUTRAL[config.neutral]
    if value is None:
        dropped[NEUTRAL] += 1
    return value


def _trajectories(steps: Iterable[_Step]) -> list[LabelledTrajectory]:
    """The steps of one question, joined where one goes on from another; every label stands in one trajectory."""
    waiting = {step.name: step for step in steps}
    found = []
    for step in sorted(waiting.values(), key=lambda one: (-len(one.judgement.bodies), one.name)):
        if step.name not in waiting:
            continue
        one = step.judgement
        names = tuple(prefix_hashes(one.question, one.bodies))
        here = [waiting.pop(name, None) for name in names]
        labels = tuple(None if each is None else each.label for each in here)
        found.append(
            LabelledTrajectory(
                question=one.question,
                bodies=one.bodies,
                labels=labels,
                prefix_hashes=names,
                correct=one.correct,
                origin=one.origin,
            )
        )
    return found
