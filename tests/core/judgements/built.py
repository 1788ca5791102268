"""Small judgements for tests."""

from meds3core.text.steps import OPENER
from meds3core.types.judgements import StepJudgement, Verdict
from meds3core.types.question import ChoiceFormat, OpenQuestion, Option

OPTIONS = (Option(letter="A", text="aspirin"), Option(letter="B", text="heparin"))


def question(number: int = 1) -> OpenQuestion:
    """A question of its own text."""
    return OpenQuestion(
        id=f"q{number}", text=f"Question {number}?\nA. aspirin\nB. heparin", answer_format=ChoiceFormat(options=OPTIONS)
    )


def judged(
    verdict: str | Verdict = "good", *steps: str, who: str = "ann", number: int = 1, **more: object
) -> StepJudgement:
    """A judgement of the last of these steps."""
    bodies = (OPENER, *(steps or ("First.",)))
    return StepJudgement.model_validate(
        {"question": question(number), "bodies": bodies, "annotator": who, "verdict": verdict, **more}
    )
