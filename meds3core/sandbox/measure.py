"""How good is a policy on fresh clinic questions? Greedy accuracy, pass@k, right steps and kinds of error.

Run it again with `meds3 sandbox measure`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from meds3core.sandbox.checker import judge_response
from meds3core.sandbox.questions import generate
from meds3core.sandbox.sampling import Sampled, Sampler
from meds3core.types.question import Question
from meds3core.types.record import Record
from meds3core.verify.judge import judge


class Figures(Record):
    """Shares in [0, 1]. `chance`: share of the commonest answer to questions of the same kind.

    Figures of samples are None where no samples were drawn. Steps count from step 1 on, in greedy responses.
    """

    questions: int
    greedy: float
    no_answer: float
    chance: float
    all_steps_right: float
    """Greedy responses whose answer and every step are right."""
    right_answer_wrong_step: float
    steps_right: float
    steps_right_given_prefix: float
    step_errors: dict[str, int]
    tokens_per_response: float
    sampled_questions: int = 0
    sampled: float | None = None
    pass_at_k: float | None = None


class Measurement(Record):
    """Figures over all questions and by family."""

    split: str
    seed: int
    k: int
    overall: Figures
    families: dict[str, Figures]


def measure(
    folder: Path, *, count: int = 1000, sampled: int = 400, k: int = 16, split: str = "test", seed: int = 1
) -> Measurement:
    """Answer `count` fresh questions greedily, and the first `sampled` of them `k` times at temperature 1."""
    questions = generate(split, count, seed)
    sampler = Sampler(folder)
    greedy = sampler.greedy([question.text for question in questions])
    samples = sampler.sample([question.text for question in questions[:sampled]], k, seed) if sampled else []
    samples += [[] for _ in questions[len(samples) :]]
    rows = list(zip(questions, greedy, samples, strict=True))
    families = dict.fromkeys(question.domain for question in questions)
    return Measurement(
        split=split,
        seed=seed,
        k=k,
        overall=_figures(rows),
        families={name: _figures([row for row in rows if row[0].domain == name]) for name in families},
    )


def _figures(rows: Sequence[tuple[Question, Sampled, list[Sampled]]]) -> Figures:
    judgements = [judge(greedy.text, question) for question, greedy, _ in rows]
    right = [judgement.correct is True for judgement in judgements]
    verdicts = [judge_response(question, greedy.text)[1:] for question, greedy, _ in rows]
    steps = [step for response in verdicts for step in response]
    sound = [all(step.right_absolutely for step in response) for response in verdicts]
    drawn = [
        [judge(sample.text, question).correct is True for sample in samples] for question, _, samples in rows if samples
    ]
    return Figures(
        questions=len(rows),
        greedy=_share(right),
        no_answer=_share(judgement.answer is None for judgement in judgements),
        chance=_chance([question for question, _, _ in rows]),
        all_steps_right=_share(a and b for a, b in zip(right, sound, strict=True)),
        right_answer_wrong_step=_share(a and not b for a, b in zip(right, sound, strict=True)),
        steps_right=_share(step.right_absolutely for step in steps),
        steps_right_given_prefix=_share(step.right_given_prefix for step in steps),
        step_errors=dict(Counter(step.error.value for step in steps if step.error).most_common()),
        tokens_per_response=round(sum(greedy.tokens for _, greedy, _ in rows) / max(len(rows), 1), 1),
        sampled_questions=len(drawn),
        sampled=_share(one for outcomes in drawn for one in outcomes) if drawn else None,
        pass_at_k=_share(any(outcomes) for outcomes in drawn) if drawn else None,
    )


def _share(outcomes: Iterable[bool]) -> float:
    listed = list(outcomes)
    return round(sum(listed) / len(listed), 4) if listed else 0.0


def _chance(questions: Sequence[Question]) -> float:
    """What always giving the commonest answer of a family and kind of answer would score."""
    kinds: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for question in questions:
        kinds[question.domain, question.answer_format.kind][question.gold.value] += 1
    return round(sum(max(golds.values()) for golds in kinds.values()) / max(len(questions), 1), 4)
