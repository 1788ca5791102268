"""The clinic's step checker as a judge of steps, with a share of errors that can be set."""

import hashlib
from collections.abc import Sequence

from meds3core.errors import ConfigError
from meds3core.labels.prefix import prefix_hash
from meds3core.sandbox.checker import judge_step
from meds3core.sandbox.forms import Case
from meds3core.sandbox.questions import case_of
from meds3core.types.question import OpenQuestion


class ClinicJudge:
    """Judges steps of clinic questions, wrongly with probability `error_rate`.

    Which steps it errs on is a function of the seed and of the step in its context: asked again, or in another order,
    it says the same. A step that is not in the taught style is not judged.
    """

    def __init__(self, error_rate: float = 0.0, *, seed: int = 0, absolutely: bool = False) -> None:
        """`absolutely`: right means every value is that of the right solution; else: right given the steps before."""
        if not 0.0 <= error_rate <= 1.0:
            raise ConfigError(f"error_rate is {error_rate}; it must lie between 0 and 1")
        self.error_rate = error_rate
        self.seed = seed
        self.absolutely = absolutely
        self._cases: dict[str, Case] = {}

    def judge(self, question: OpenQuestion, earlier_bodies: Sequence[str], body: str) -> bool | None:
        """Whether the step is right; None: it cannot be read. Raises `NotAClinicQuestion`."""
        verdict = judge_step(self._case(question), earlier_bodies, body)
        if not verdict.judged:
            return None
        right = verdict.right_absolutely if self.absolutely else verdict.right_given_prefix
        return right is not self._errs(prefix_hash(question, [*earlier_bodies, body]))

    def _case(self, question: OpenQuestion) -> Case:
        """Reading a question back into its case is slow; its steps come one after the other."""
        case = self._cases.get(question.content_hash)
        if case is None:
            self._cases = {question.content_hash: (case := case_of(question))}
        return case

    def _errs(self, step: str) -> bool:
        digest = hashlib.blake2b(f"{self.seed} {step}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.error_rate * 2**64
