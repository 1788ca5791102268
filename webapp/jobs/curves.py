"""The measured curves of a job for drawing: read, joined over attempts, thinned so that spikes stay, smoothed.

A run may have hundreds of thousands of points and a drawing has some hundred pixels: of each stretch that falls on one
pixel the lowest and the highest point are kept. Zooming asks again for the part that is shown, until every point is
there. Smoothing is worked out of all points, never of thinned ones.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Min, Q

from webapp.jobs.models import MetricChunk

POINTS = 800
"""Points of a drawing, unless it asks for another number."""
MOST_POINTS = 10_000
SMOOTHED = 400
"""Points of a smoothed line: it has no spikes to lose."""
SPAN_SHARE = 50
"""A smoothed value looks back over about this part of the whole curve: a fiftieth."""
SHORTEST_SPAN = 5

Value = float | None
"""None where what was measured is no number."""


@dataclass(frozen=True, slots=True)
class Line:
    """Points in the order of their steps."""

    steps: list[int]
    values: list[Value]


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn of one measured name."""

    name: str
    points: int
    """In the part that was asked for, before thinning."""
    line: Line
    exact: bool
    """Whether every point of that part is there."""
    smooth: Line | None = None
    span: int = 0
    """Points over which a smoothed value looks back."""


@dataclass(frozen=True, slots=True)
class Group:
    """Curves that are looked at together."""

    key: str
    title: str


GROUPS: tuple[Group, ...] = (
    Group("loss", "Loss"),
    Group("accuracy", "Accuracy"),
    Group("reward", "Rewards and margins"),
    Group("rate", "Learning rate"),
    Group("throughput", "Throughput"),
    Group("memory", "Memory"),
    Group("other", "Others"),
)
"""In the order of the page."""

_GROUP_OF = {
    "loss": "loss",
    "accuracy": "accuracy",
    "token_accuracy": "accuracy",
    "margin": "reward",
    "chosen_reward": "reward",
    "reward": "reward",
    "reward_spread": "reward",
    "learning rate": "rate",
    "memory": "memory",
}

LABELS = {
    "loss": "Loss",
    "accuracy": "Pairs ordered right",
    "token_accuracy": "Tokens predicted right",
    "margin": "Reward margin, chosen over rejected",
    "chosen_reward": "Reward of the chosen",
    "reward": "Mean reward",
    "reward_spread": "Spread of rewards",
    "without_signal": "Questions without signal",
    "length": "Length of answers",
    "cut": "Answers cut off",
    "divergence": "Divergence from the start",
    "gradient norm": "Gradient norm, before clipping",
    "learning rate": "Learning rate",
    "tokens per second": "Tokens per second",
    "memory": "Memory, at most so far",
    "entropy": "Entropy",
}
"""Names as people read them. A loop puts the name of the stage before its own: `sft-1: loss`."""


def group_of(name: str) -> str:
    """The key of the group that a measured name belongs to."""
    plain = name.rpartition(": ")[2]
    if plain in _GROUP_OF:
        return _GROUP_OF[plain]
    return "throughput" if plain.replace("_", " ").endswith("per second") else "other"


def label_of(name: str) -> str:
    """A measured name as people read it."""
    stage, _, plain = name.rpartition(": ")
    label = LABELS.get(plain) or plain.replace("_", " ").capitalize()
    return f"{stage}: {label}" if stage else label


def names_of(*, job_id: UUID) -> list[str]:
    """What was measured, in the order of groups and then of letters."""
    order = {group.key: place for place, group in enumerate(GROUPS)}
    names = MetricChunk.objects.filter(job=job_id).order_by().values_list("name", flat=True).distinct()
    return sorted(names, key=lambda name: (order[group_of(name)], name))


def curves_of(
    *,
    job_id: UUID,
    names: Collection[str] = (),
    first: int | None = None,
    last: int | None = None,
    points: int = POINTS,
    smooth: bool = False,
) -> list[Curve]:
    """The curves of these names (none: all) from step `first` to step `last`, each with about `points` at most."""
    # Smoothing looks back: it needs what lies before the part that is shown.
    lines = lines_of(job_id=job_id, names=names, first=None if smooth else first, last=None if smooth else last)
    order = {group.key: place for place, group in enumerate(GROUPS)}
    found = []
    for name in sorted(lines, key=lambda name: (order[group_of(name)], name)):
        whole = lines[name]
        shown = _part(whole, first, last)
        if not shown.steps and (first is not None or last is not None):
            continue
        span = max(SHORTEST_SPAN, round(len(whole.steps) / SPAN_SHARE))
        found.append(
            Curve(
                name=name,
                points=len(shown.steps),
                line=thinned(shown, points),
                exact=len(shown.steps) <= points,
                smooth=_sampled(_part(smoothed(whole, span), first, last)) if smooth else None,
                span=span if smooth else 0,
            )
        )
    return found


def lines_of(
    *, job_id: UUID, names: Collection[str] = (), first: int | None = None, last: int | None = None
) -> dict[str, Line]:
    """Every stored point of these names, joined: what a later attempt measured again has taken its place."""
    rows = MetricChunk.objects.filter(job=job_id)
    if names:
        rows = rows.filter(name__in=names)
    begun = _attempts_begun(rows.order_by().values_list("name", "attempt").annotate(Min("first_step")))
    if last is not None:
        rows = rows.filter(first_step__lte=last)
    if first is not None:
        rows = rows.filter(Q(last_step__gte=first) | Q(last_step=None))
    found: dict[str, Line] = {}
    for name, attempt, steps, values in rows.order_by("attempt", "id").values_list(
        "name", "attempt", "steps", "values"
    ):
        line = found.setdefault(name, Line([], []))
        # A later attempt goes on from a checkpoint: what the earlier one had measured beyond it does not count.
        over = min((start for later, start in begun[name] if later > attempt), default=None)
        if over is not None and steps and steps[-1] >= over:
            cut = bisect_left(steps, over)
            steps, values = steps[:cut], values[:cut]
        if not steps:
            continue
        if line.steps and steps[0] <= line.steps[-1]:
            cut = bisect_left(line.steps, steps[0])
            del line.steps[cut:], line.values[cut:]
        line.steps.extend(steps)
        line.values.extend(values)
    return found


def _attempts_begun(rows: Collection[tuple[str, int, int]]) -> dict[str, list[tuple[int, int]]]:
    """By name, the first step of each attempt."""
    found: dict[str, list[tuple[int, int]]] = {}
    for name, attempt, step in rows:
        found.setdefault(name, []).append((attempt, step))
    return found


# --- fewer points --------------------------------------------------------------------------------------------------


def thinned(line: Line, most: int) -> Line:
    """At most about `most` points: the lowest and the highest of each stretch, and the two ends."""
    count = len(line.steps)
    if count <= most:
        return line
    stretches = max(1, most // 2)
    kept = {0, count - 1}
    for number in range(stretches):
        start, end = number * count // stretches, (number + 1) * count // stretches
        part = line.values[start:end]
        present: list[float] = [value for value in part if value is not None]
        if present:
            kept.add(start + part.index(min(present)))
            kept.add(start + part.index(max(present)))
    places = sorted(kept)
    return Line([line.steps[at] for at in places], [line.values[at] for at in places])


def smoothed(line: Line, span: int) -> Line:
    """Exponential mean that looks back over about `span` points; where it begins, over those that there are."""
    keep = 1 - 2 / (span + 1)
    mean, weight = 0.0, 0.0
    values: list[Value] = []
    for value in line.values:
        if value is not None:
            mean = keep * mean + (1 - keep) * value
            weight = keep * weight + (1 - keep)
        values.append(mean / weight if weight else None)
    return Line(line.steps, values)


def _sampled(line: Line) -> Line:
    """Evenly spaced points of a smooth line, the last one among them."""
    count = len(line.steps)
    if count <= SMOOTHED:
        return line
    places = [(number + 1) * count // SMOOTHED - 1 for number in range(SMOOTHED)]
    return Line([line.steps[at] for at in places], [line.values[at] for at in places])


def _part(line: Line, first: int | None, last: int | None) -> Line:
    start = 0 if first is None else bisect_left(line.steps, first)
    end = len(line.steps) if last is None else bisect_right(line.steps, last)
    if start == 0 and end == len(line.steps):
        return line
    return Line(line.steps[start:end], line.values[start:end])


# --- for drawings --------------------------------------------------------------------------------------------------


def shown(line: Line) -> dict[str, Sequence[Value]]:
    """As JSON."""
    return {"steps": line.steps, "values": line.values}
