"""Small judgements for tests."""

from meds3core.text.steps import OPENER
from meds3core.types.judgements import StepJudgement, Verdict
from meds3core.types.question import ChoiceFormat, OpenQuestion, Option, Question
from meds3core.types.tree import Move, Node, Provenance, StopReason, Tree, TreeTotals

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


def grown(asked: Question) -> Tree:
    """Five nodes: a step, one that drops, a right and a wrong answer."""

    def node(number: int, parent: int, depth: int, text: str, value: float, **more: object) -> Node:
        move = Move.ROOT if not number else Move.FINISH if "verdict" in more else Move.REASON
        return Node.model_validate(
            {"id": number, "parent": parent, "depth": depth, "move": move, "text": text, "value": value} | more
        )

    nodes = (
        node(0, -1, 0, OPENER, 0.5),
        node(1, 0, 1, "A thought.", 0.75, outcomes=(1, 1, 0, 1), rollout_value=0.75),
        node(2, 1, 2, "A worse one.", 0.25, outcomes=(0, 0, 0, 1), rollout_value=0.25),
        node(3, 1, 2, "The answer is A.", 1.0, verdict=True, answer="A", rollout_value=1.0),
        node(4, 2, 3, "The answer is B.", 0.0, verdict=False, answer="B", rollout_value=0.0),
    )
    made_by = Provenance.model_validate(
        {"policy": "p", "policy_hash": "p", "engine": "scripted", "prompt": "plain@1", "prompt_hash": "h"}
        | {"config_hash": "c", "seed": 0}
    )
    totals = TreeTotals(requests=1, rollouts=8, generated_tokens=1, prompt_tokens=1)
    return Tree(question=asked, provenance=made_by, stop_reason=StopReason.COMPLETE, totals=totals, nodes=nodes)
