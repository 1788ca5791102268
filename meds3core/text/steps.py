"""The one place that knows how a trajectory is written.

A trajectory reads `Step 0: …\\n\\nStep 1: …\\n\\n…`; the last step contains `The answer is X.` (METHOD.md §1).
A step begins at the start of the text or at a blank line followed by `Step <int>:`; other blank lines belong to
the step they stand in.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OPENER = "Let's break down this problem step by step."
"""Body of step 0, the same in every trajectory."""

SEPARATOR = "\n\n"
NEXT_STEP = "\n\nStep "
"""Stop string with which one step is sampled."""

_HEADER = re.compile(r"Step ([0-9]{1,9}): ?")
_BOUNDARY = re.compile(r"\n\n(?=Step [0-9]{1,9}:)")


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it was written. `header` keeps what stood before the body, so that nothing is lost.

    `number` is the integer in the header, or None for a text that begins without one.
    """

    number: int | None
    header: str
    body: str


def split(text: str) -> list[Step]:
    """Cut a trajectory into its steps; `join(split(text)) == text` for every string."""
    steps = []
    for part in _BOUNDARY.split(text):
        match = _HEADER.match(part)
        if match is None:
            steps.append(Step(None, "", part))
        else:
            steps.append(Step(int(match[1]), match[0], part[match.end() :]))
    return steps


def join(steps: Iterable[Step]) -> str:
    """The text from which `split` made these steps."""
    return SEPARATOR.join(step.header + step.body for step in steps)


def header(number: int) -> str:
    """How step `number` begins; generation of a step is primed with it, without a trailing space."""
    return f"Step {number}:"


def render_step(number: int, body: str) -> str:
    """One step as a piece of a prompt or of a PRM's input, the closing blank line included.

    Pieces are tokenised one by one and their ids concatenated: the tokens of a step never depend on the next.
    """
    return f"Step {number}: {body}{SEPARATOR}"


def render_trajectory(bodies: Sequence[str]) -> str:
    """The whole trajectory as text; `bodies[0]` is step 0."""
    return SEPARATOR.join(f"Step {number}: {body}" for number, body in enumerate(bodies))


def split_continuation(text: str, first_number: int) -> list[Step]:
    """Cut what a policy wrote after it was primed with `header(first_number)`.

    The steps' bodies are stripped of surrounding white space; empty ones are left out.
    """
    steps = split(header(first_number) + text)
    return [Step(step.number, step.header, step.body.strip()) for step in steps if step.body.strip()]
