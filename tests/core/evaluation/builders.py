"""Small sample sets for evaluation tests, built by hand or drawn at random, all records real."""

import hashlib
import random

from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.sandbox.checker import case_of
from meds3core.sandbox.questions import generate
from meds3core.sandbox.writing import write
from meds3core.text.steps import OPENER, render_trajectory
from meds3core.types.question import ChoiceFormat, Gold, NumberFormat, Option, Question
from meds3core.types.samples import QuestionSamples, QuestionScores, Sample, SampleSource, ScoreSource
from meds3core.verify.judge import judge


def number_question(identity: str, gold: str = "4", *, source: str = "toy", domain: str = "sum") -> Question:
    return Question(
        id=identity,
        text=f"What is it, {identity}?",
        answer_format=NumberFormat(),
        source=source,
        domain=domain,
        gold=Gold(value=gold),
    )


def choice_question(identity: str = "c", gold: str = "B", texts: tuple[str, ...] = ("stop", "go", "wait")) -> Question:
    options = tuple(Option(letter="ABCDEFGH"[i], text=text) for i, text in enumerate(texts))
    lines = "\n".join(f"{option.letter}. {option.text}" for option in options)
    return Question(
        id=identity,
        text=f"The patient is 40 years old. She has a fever of 39 degrees. What now?\n{lines}",
        answer_format=ChoiceFormat(options=options),
        source="toy",
        domain="choice",
        gold=Gold(value=gold),
    )


def sample_of(question: Question, *steps: str, tokens: int = 10) -> Sample:
    """A response with these steps, judged by the question's verifier."""
    bodies = (OPENER, *steps)
    verdict = judge(render_trajectory(bodies), question)
    return Sample(bodies=bodies, answer=verdict.answer, correct=verdict.correct, generated_tokens=tokens)


def row_of(question: Question, *responses: tuple[str, ...]) -> QuestionSamples:
    return QuestionSamples(question=question, samples=tuple(sample_of(question, *steps) for steps in responses))


def clinic_rows(count: int, n: int, *, seed: int = 0, split: str = "test", rate_scale: float = 1.0):
    """What a policy with the clinic's misconceptions answers to `count` questions, n times each."""
    rng = random.Random(f"rows {seed}")
    rows = []
    for question in generate(split, count, 1):
        case = case_of(question)
        samples = []
        for _ in range(n):
            bodies = write(case, rng, slip_rate=0.05, rate_scale=rate_scale).bodies
            samples.append(sample_of(question, *bodies[1:], tokens=sum(len(body.split()) for body in bodies)))
        rows.append(QuestionSamples(question=question, samples=tuple(samples)))
    return tuple(rows)


def informed_scores(rows, judge_of_steps, *, noise: float = 0.25, seed: int = 0) -> dict[str, QuestionScores]:
    """Scores of a PRM that knows the truth and sees it through noise."""
    rng = random.Random(f"scores {seed}")
    found = {}
    for row in rows:
        scores = []
        for sample in row.samples:
            truths = judge_of_steps.judge(row.question, sample.bodies)
            values = [0.75 if truth.right_given_prefix else 0.35 for truth in truths]
            scores.append(tuple(min(1.0, max(0.0, value + rng.gauss(0, noise))) for value in values))
        found[row.question.id] = QuestionScores(
            question_id=row.question.id,
            scores=tuple(scores),
            scored_tokens=sum(sample.generated_tokens + 20 for sample in row.samples),
        )
    return found


def sample_set(rows, *, temperature: float = 1.0, name: str = "toy", prompt: str = "plain@1", failures=()) -> SampleSet:
    """The rows as a finished set; greedy where the temperature is 0."""
    rows = tuple(rows)
    source = SampleSource(
        policy=name,
        policy_hash=f"hash of {name}",
        engine="scripted",
        prompt=prompt,
        prompt_hash=f"hash of {prompt}",
        config_hash="c",
        temperature=temperature,
        top_p=0.95,
        n=max(len(row.samples) for row in rows),
        seed=0,
    )
    digest = hashlib.blake2b("".join(row.model_dump_json() for row in rows).encode(), digest_size=8).hexdigest()
    return SampleSet(source, rows, tuple(failures), digest)


def score_set(samples: SampleSet, scores: dict[str, QuestionScores], *, kind: str = "prm", model="prm") -> ScoreSet:
    rows = tuple(scores[row.question.id] for row in samples.rows)
    if kind == "orm":
        rows = tuple(row.model_copy(update={"scores": tuple(each[-1:] for each in row.scores)}) for row in rows)
    source = ScoreSource(kind=kind, model=model, model_hash=f"hash of {model}", samples_hash=samples.content_hash)
    return ScoreSet(source, rows, f"{model} of {samples.content_hash}")


def greedy_of(rows, **options) -> SampleSet:
    """The first sample of every question as a greedy set."""
    firsts = [QuestionSamples(question=row.question, samples=row.samples[:1]) for row in rows]
    return sample_set(firsts, temperature=0.0, **options)
