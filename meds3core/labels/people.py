"""Labels from rollouts and labels from people in one training (METHOD.md §3, `human` and `consensus`).

A person's label finds its step by the step's name (`labels.prefix`), in whatever trajectory it stands. What people
judged and no rollout trajectory goes through is learnt from as well, as trajectories of their own.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from meds3core.config.labels import AnyLabelConfig, PeopleConfig
from meds3core.labels.prefix import prefix_hashes
from meds3core.types.labels import LabelledTrajectory


@dataclass(frozen=True, slots=True)
class Combined:
    """Trajectories with labels from both, and what became of the steps; a step of several trajectories counts once."""

    trajectories: tuple[LabelledTrajectory, ...]
    judged: int
    """Steps that people labelled."""
    changed: int
    """Of those, steps of rollout trajectories whose label is another now, to the nearest of 0 and 1."""
    kept: int
    """Of those, steps of rollout trajectories on which both agree, likewise."""
    added: int
    """Of those, steps that no rollout trajectory goes through, or that rollouts did not label."""
    disputed: int
    """Steps left out because people and rollouts disagree (`consensus`)."""
    unjudged: int
    """Steps left out because nobody judged them (`judged_only`)."""


@dataclass(frozen=True, slots=True)
class PeopleSet:
    """One frozen set of people's labels."""

    records: tuple[LabelledTrajectory, ...]
    queues: frozenset[str] = frozenset()
    """Where the judgements came from; empty: from no queue that is known."""
    config: AnyLabelConfig | None = None
    """By which rule labels were made of them."""


@dataclass(frozen=True, slots=True)
class Split:
    """People's labels to train on, and those of the questions that are kept out to measure on."""

    training: tuple[LabelledTrajectory, ...]
    held_out: tuple[LabelledTrajectory, ...]


def latest_labels(sets: Sequence[PeopleSet]) -> list[LabelledTrajectory]:
    """The labels that stand where sets were frozen of the same queue again and again; the oldest set comes first.

    A set all of whose queues are in a later one made by the same rule is replaced by that: what it labelled and the
    later one does not was taken back, disputed or withdrawn since. Of other sets with a queue in common the later
    one's label of a step counts alone. Sets of different queues are different people's words: all of them stand.
    """
    names = [labelled_names(one.records) for one in sets]
    found: list[LabelledTrajectory] = []
    for number, one in enumerate(sets):
        later = [place for place in range(number + 1, len(sets)) if sets[place].queues & one.queues]
        if any(one.queues <= sets[place].queues and sets[place].config == one.config for place in later):
            continue
        gone = set[str]().union(*(names[place] for place in later))
        found.extend(_without(each, gone) for each in one.records)
    return [each for each in found if any(label is not None for label in each.labels)]


def _labelled(trajectory: LabelledTrajectory) -> Iterator[str]:
    for name, label in zip(_names(trajectory), trajectory.labels, strict=True):
        if label is not None:
            yield name


def _without(trajectory: LabelledTrajectory, gone: Collection[str]) -> LabelledTrajectory:
    """The trajectory without the labels of these steps."""
    pairs = zip(_names(trajectory), trajectory.labels, strict=True)
    return trajectory.model_copy(update={"labels": tuple(None if name in gone else label for name, label in pairs)})


def labels_of(trajectories: Iterable[LabelledTrajectory], steps: Collection[str]) -> list[LabelledTrajectory]:
    """The labels of these steps alone, by name; trajectories that have none of them are left out."""
    found = []
    for one in trajectories:
        others = set(_labelled(one)).difference(steps)
        kept = _without(one, others)
        if any(label is not None for label in kept.labels):
            found.append(kept)
    return found


def labelled_names(trajectories: Iterable[LabelledTrajectory]) -> set[str]:
    """Names of all steps that have a label."""
    return {name for each in trajectories for name in _labelled(each)}


def split_people(trajectories: Iterable[LabelledTrajectory], share: float) -> Split:
    """By question: whether it is kept out is a function of its text alone, so that a later training, with more labels,
    keeps out the same ones and is measured on what no earlier one has learnt from people either.
    """
    training: list[LabelledTrajectory] = []
    held_out: list[LabelledTrajectory] = []
    for trajectory in trajectories:
        (held_out if _drawn(trajectory.question.text_hash) < share else training).append(trajectory)
    return Split(tuple(training), tuple(held_out))


def combine_labels(
    rollouts: Sequence[LabelledTrajectory], people: Sequence[LabelledTrajectory], config: PeopleConfig
) -> Combined:
    """One training set out of both.

    outrank: a person's label takes the place of the rollouts' and weighs `config.weight`. consensus: where both
    labelled a step and disagree, to the nearest of 0 and 1, it has no label; where they agree the rollouts' label
    stands and weighs `config.weight`. Several people's labels of one step: their mean. A step that states a wrong
    answer has label 0, whoever says otherwise, wherever it stands.
    """
    said = _by_step(people)
    judged = {name: sum(labels) / len(labels) for name, labels in said.items()}
    wrong = {_names(each)[-1] for each in (*rollouts, *people) if each.correct is False}
    judged |= dict.fromkeys(judged.keys() & wrong, 0.0)
    seen: dict[str, set[str]] = defaultdict(set)
    merged = [_merged(trajectory, judged, wrong, config, seen) for trajectory in rollouts]
    there = seen["changed"] | seen["kept"] | seen["disputed"]
    own = list(_own(people, judged, wrong, there, config))
    kept = [trajectory for trajectory in (*merged, *own) if any(label is not None for label in trajectory.labels)]
    return Combined(
        trajectories=tuple(kept),
        judged=len(judged),
        changed=len(seen["changed"]),
        kept=len(seen["kept"]),
        added=len(judged) - len(there),
        disputed=len(seen["disputed"]),
        unjudged=len(seen["unjudged"]),
    )


def _merged(
    trajectory: LabelledTrajectory,
    judged: dict[str, float],
    wrong: set[str],
    config: PeopleConfig,
    seen: dict[str, set[str]],
) -> LabelledTrajectory:
    """A rollout trajectory with people's labels in it; itself where nobody said anything of it."""
    names = _names(trajectory)
    labels, weights = list(trajectory.labels), list(trajectory.weights or (1.0,) * len(names))
    for step, (name, label) in enumerate(zip(names, trajectory.labels, strict=True)):
        said = judged.get(name)
        if not step or label is None:  # rollouts said nothing of it: the person's own trajectory will
            continue
        if said is None:
            if config.rule == "consensus" and config.judged_only:
                seen["unjudged"].add(name)
                labels[step] = None
            continue
        if name in wrong:  # whoever says so adds nothing to it
            seen["kept"].add(name)
            continue
        agree = (said >= 0.5) == (label >= 0.5)
        if config.rule == "consensus" and not agree:
            seen["disputed"].add(name)
            labels[step] = None
            continue
        seen["kept" if agree else "changed"].add(name)
        weights[step] = config.weight
        if config.rule == "outrank":
            labels[step] = said
    if tuple(labels) == trajectory.labels and tuple(weights) == (trajectory.weights or (1.0,) * len(names)):
        return trajectory
    even = weights.count(1.0) == len(weights)
    return trajectory.model_copy(update={"labels": tuple(labels), "weights": () if even else tuple(weights)})


def _own(
    people: Sequence[LabelledTrajectory],
    judged: dict[str, float],
    wrong: set[str],
    there: set[str],
    config: PeopleConfig,
) -> Iterator[LabelledTrajectory]:
    """People's trajectories with the labels that stand in no rollout trajectory, each label once."""
    left = {name: label for name, label in judged.items() if name not in there}
    for trajectory in people:
        names = _names(trajectory)
        labels = tuple(
            left.pop(name, None) if label is not None else None
            for name, label in zip(names, trajectory.labels, strict=True)
        )
        if any(label is not None for label in labels):
            weights = tuple(
                1.0 if label is None or name in wrong else config.weight
                for name, label in zip(names, labels, strict=True)
            )
            even = weights.count(1.0) == len(weights)
            yield trajectory.model_copy(update={"labels": labels, "weights": () if even else weights})


def _by_step(people: Iterable[LabelledTrajectory]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for trajectory in people:
        for name, label in zip(_names(trajectory), trajectory.labels, strict=True):
            if label is not None:
                found[name].append(label)
    return found


def _names(trajectory: LabelledTrajectory) -> tuple[str, ...]:
    return tuple(prefix_hashes(trajectory.question, trajectory.bodies))


def _drawn(content: str) -> float:
    digest = hashlib.blake2b(f"held out {content}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
