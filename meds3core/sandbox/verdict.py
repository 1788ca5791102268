"""What the step checker says about one step."""

from enum import StrEnum

from meds3core.types.record import Record


class ErrorKind(StrEnum):
    """What is wrong with a step, given the steps before it."""

    MISREAD = "misread"
    """A value copied from the question differs from the question."""
    ARITHMETIC = "arithmetic"
    """The values are used rightly and the result is wrong."""
    WRONG_FORMULA = "wrong-formula"
    """The calculation is not the one that the question needs."""
    WRONG_CRITERION = "wrong-criterion"
    """A threshold, range or rule is applied wrongly."""
    INVENTED = "invented-fact"
    """A value is stated that the question does not give."""
    CONTRADICTION = "contradiction"
    """A value differs from what an earlier step stated."""
    UNKNOWN_STYLE = "unknown-style"
    """Not a sentence of the taught style: not judged."""


class StepVerdict(Record):
    """The verdict on one step.

    `right_absolutely`: every value in it is the one that the right solution has. `right_given_prefix`: nothing new
    is wrong in it: it follows from the question and from what the earlier steps stated. A propagated error is
    therefore wrong absolutely, right given the prefix, and has no `error`.
    """

    right_absolutely: bool
    right_given_prefix: bool
    error: ErrorKind | None = None

    @property
    def judged(self) -> bool:
        """Whether the step is written in the taught style; the other two fields mean nothing if not."""
        return self.error is not ErrorKind.UNKNOWN_STYLE
