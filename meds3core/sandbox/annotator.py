"""A simulated annotator: the step checker judges items of the clinic, wrongly as often as it is told to."""

import random

from meds3core.judgements.items import ItemShown, StepAnswer
from meds3core.labels.prefix import prefix_hash
from meds3core.sandbox.checker import judge_step
from meds3core.sandbox.judge import ClinicJudge
from meds3core.sandbox.questions import case_of
from meds3core.sandbox.verdict import ErrorKind as Fault
from meds3core.types.judgements import ErrorKind, Verdict
from meds3core.types.question import OpenQuestion, TextFormat

_KINDS = {
    Fault.MISREAD: ErrorKind.MISREAD_QUESTION,
    Fault.ARITHMETIC: ErrorKind.ARITHMETIC,
    Fault.WRONG_FORMULA: ErrorKind.WRONG_INFERENCE,
    Fault.WRONG_CRITERION: ErrorKind.WRONG_INFERENCE,
    Fault.INVENTED: ErrorKind.WRONG_FACT,
    Fault.CONTRADICTION: ErrorKind.CONTRADICTION,
}


class SimulatedAnnotator:
    """Says good or bad of a step given those before it, and the contrary with probability `error_rate`.

    Which steps it errs on is a function of the seed and the step in its context, whatever the order of the items. A
    step that the checker cannot read gets "can't tell". It knows only what an item shows.
    """

    def __init__(self, *, error_rate: float = 0.0, seed: int = 0) -> None:
        """Raises `ConfigError` for a rate outside [0, 1]."""
        self._seed = seed
        self._judge = ClinicJudge(error_rate, seed=seed)

    def answers(self, item: ItemShown) -> list[StepAnswer]:
        """What it says of an item: of each step in order, up to the first bad one. Raises `NotAClinicQuestion`."""
        question = OpenQuestion(id="shown", text=item.question, answer_format=TextFormat())
        said: list[StepAnswer] = []
        for position in range(len(item.steps)):
            said.append(self._answer(question, [*item.prefix, *item.steps[:position]], item.steps[position], position))
            if said[-1].verdict is Verdict.BAD:
                break
        return said

    def _answer(self, question: OpenQuestion, earlier: list[str], body: str, position: int) -> StepAnswer:
        right = self._judge.judge(question, earlier, body)
        if right is None:
            return StepAnswer(position=position, verdict=Verdict.CANT_TELL)
        if right:
            return StepAnswer(position=position, verdict=Verdict.GOOD)
        fault = judge_step(case_of(question), earlier, body).error
        kind = _KINDS[fault] if fault in _KINDS else self._invented(question, earlier, body)
        return StepAnswer(position=position, verdict=Verdict.BAD, errors=(kind,))

    def _invented(self, question: OpenQuestion, earlier: list[str], body: str) -> ErrorKind:
        """The kind of an error that is not there."""
        return random.Random(f"{self._seed} {prefix_hash(question, [*earlier, body])}").choice(sorted(_KINDS.values()))
