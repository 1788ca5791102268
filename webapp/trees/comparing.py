"""Two searches, or two trees, of the same questions side by side. Statistics are those of `meds3core.evaluation`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from meds3core.evaluation.paired import McNemar, PairedDifference, mcnemar, paired_difference
from meds3core.types.trajectory import Trajectory, finished_trajectories
from meds3core.types.tree import Tree as TreeRecord
from webapp.jobs.models import Job
from webapp.jobs.standing import flat
from webapp.trees.models import Tree
from webapp.trees.overviews import Inputs

RESAMPLES, RESAMPLES_OF_MANY, MANY = 10_000, 1_000, 1_000
"""Resamples of an interval; fewer where there are many questions, so that a page does not wait."""
MOST_CHANGES = 200
_COLUMNS = ("question_hash", "pk", "question_id_text", "solved", "right_answers", "wrong_answers")
_COUNTED = ("nodes", "rollouts", "generated_tokens")


@dataclass(frozen=True, slots=True)
class Brief:
    """A tree in a line."""

    question_hash: str
    pk: UUID
    question: str
    solved: float
    right_answers: int
    wrong_answers: int
    nodes: int
    rollouts: int
    generated_tokens: int


@dataclass(frozen=True, slots=True)
class Pair:
    """The trees of one question."""

    first: Brief
    second: Brief

    @property
    def change(self) -> float:
        """Solved fraction, second minus first."""
        return self.second.solved - self.first.solved


@dataclass(frozen=True, slots=True)
class Mean:
    """A cost a tree, on both sides."""

    label: str
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class SearchComparison:
    """The second search against the first, on the questions that both have trees of."""

    first_trees: int
    second_trees: int
    pairs: int
    answered: McNemar | None
    """Whether a tree holds a right answer."""
    solved: PairedDifference | None
    """The solved fraction."""
    means: list[Mean]
    won: list[Pair]
    """Only the second has a right answer; the largest change first."""
    lost: list[Pair]


def searches_compared(*, first: Job, second: Job, stages: tuple[str, str] = ("", "")) -> SearchComparison:
    """Pairs trees by the content of their questions; two queries."""
    ours, theirs = (_briefs(job, stage) for job, stage in zip((first, second), stages, strict=True))
    pairs = _paired(ours, theirs)
    before = [pair.first.right_answers > 0 for pair in pairs]
    after = [pair.second.right_answers > 0 for pair in pairs]
    resamples = RESAMPLES if len(pairs) <= MANY else RESAMPLES_OF_MANY
    return SearchComparison(
        first_trees=len(ours),
        second_trees=len(theirs),
        pairs=len(pairs),
        answered=mcnemar(before, after) if pairs else None,
        solved=paired_difference(
            [pair.first.solved for pair in pairs], [pair.second.solved for pair in pairs], resamples=resamples
        )
        if pairs
        else None,
        means=_means(pairs),
        won=sorted((p for p, a, b in zip(pairs, before, after, strict=True) if b and not a), key=lambda p: -p.change),
        lost=sorted((p for p, a, b in zip(pairs, before, after, strict=True) if a and not b), key=lambda p: p.change),
    )


def settings_that_differ(*, first: tuple[Job, Inputs], second: tuple[Job, Inputs]) -> list[tuple[str, str, str]]:
    """What the two were made with, where it differs: the setting, both values; a dash where one has none."""
    ours, theirs = (dict(_settings(job, inputs)) for job, inputs in (first, second))
    names = [*ours, *(name for name in theirs if name not in ours)]
    rows = [(name, ours.get(name, "–"), theirs.get(name, "–")) for name in names]
    return [row for row in rows if row[1] != row[2]]


def best_trajectory(tree: TreeRecord) -> Trajectory | None:
    """The finished path that never fell so low: the best of the right ones, else of all."""
    found = list(finished_trajectories(tree))
    right = [each for each in found if each.correct]
    return max(right or found, key=lambda each: each.weakest, default=None)


def _settings(job: Job, inputs: Inputs) -> Iterable[tuple[str, str]]:
    for name in ("questions", "policy", "scorer"):
        thing = getattr(inputs, name)
        if thing is not None:
            yield name, str(thing)
    spec = {name: value for name, value in job.spec.items() if name not in ("questions", "policy", "scorer", "kind")}
    yield from flat(spec)


def _briefs(job: Job, stage: str) -> list[Brief]:
    rows = Tree.objects.filter(job=job, stage=stage).order_by("position")
    return [Brief(*row) for row in rows.values_list(*_COLUMNS, *_COUNTED)]


def _paired(ours: Sequence[Brief], theirs: Sequence[Brief]) -> list[Pair]:
    """Equal questions in order: a question that stands twice on both sides is paired twice."""
    waiting: dict[str, list[Brief]] = defaultdict(list)
    for brief in reversed(theirs):
        waiting[brief.question_hash].append(brief)
    return [Pair(brief, waiting[brief.question_hash].pop()) for brief in ours if waiting[brief.question_hash]]


def _means(pairs: Sequence[Pair]) -> list[Mean]:
    def mean(values: Iterable[Any]) -> float:
        return sum(values) / len(pairs)

    return [
        Mean(label, mean(getattr(p.first, name) for p in pairs), mean(getattr(p.second, name) for p in pairs))
        for name, label in zip(_COUNTED, ("Steps", "Rollouts", "Tokens written"), strict=True)
        if pairs
    ]
