"""Sample sets and reward models made up for tests."""

import random

from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.errors import ContextOverflow
from meds3core.prm.base import ScorerInfo, Scores
from meds3core.text.steps import OPENER
from meds3core.types.samples import QuestionSamples, QuestionScores, Sample, SampleSource, ScoreSource
from tests.core.search.toy import make_question

SOURCE = SampleSource(
    policy="toy", policy_hash="p", engine="scripted", prompt="plain@1", prompt_hash="h", config_hash="c",
    temperature=1.0, top_p=0.95, n=1, seed=0,
)  # fmt: skip


RIGHT = "=right="


class ToyModel:
    """A reward model whose scores are few and far between, so that there are ties; counts what it is asked.

    Like a real one it scores every step from the steps so far. `longest`: bodies that fit.
    """

    def __init__(self, kind="prm", *, levels=4, longest=100, model_hash="m"):
        self.info = ScorerInfo(kind, "toy-model", model_hash, "h", 4096)
        self.items = []
        self.batches = 0
        self._levels = levels
        self._longest = longest

    def score(self, items):
        self.batches += 1
        if any(len(item.bodies) > self._longest for item in items):
            raise ContextOverflow("too long")
        self.items += items
        return [self._score(item) for item in items]

    def _score(self, item):
        assert not hasattr(item.question, "gold"), "a reward model must not see the gold"
        values = [
            random.Random(f"{item.question.text}{item.bodies[: last + 1]}").randint(0, self._levels) / self._levels
            for last in range(len(item.bodies))
        ]
        tokens = sum(len(body.split()) for body in item.bodies)
        return Scores(tuple(values if self.info.kind == "prm" else values[-1:]), tokens)

    def close(self):
        pass


def sample_set(questions, *, temperature=1.0, failures=()):
    """`questions`: per question the answers of its samples; RIGHT stands for the right one."""
    rows = []
    for number, given in enumerate(questions):
        question = make_question(number)
        answers = [question.gold.value if answer == RIGHT else answer for answer in given]
        rows.append(
            QuestionSamples(
                question=question,
                samples=tuple(
                    Sample(
                        bodies=(OPENER, f"Sample {index}."),
                        answer=answer,
                        correct=None if answer is None else answer == question.gold.value,
                        generated_tokens=10 + index,
                        prompt_tokens=30 if index == 0 else 0,
                    )
                    for index, answer in enumerate(answers)
                ),
            )
        )
    source = SOURCE.model_copy(update={"n": len(questions[0]), "temperature": temperature})
    return SampleSet(source, tuple(rows), tuple(failures), "samples-hash")


def score_set(samples, scores, *, kind="prm"):
    """`scores`: per question, per sample a score or a list of step scores."""
    rows = tuple(
        QuestionScores(
            question_id=row.question.id,
            scores=tuple(tuple(score) if isinstance(score, list | tuple) else (0.0, score) for score in mine),
            scored_tokens=100 * len(mine),
        )
        for row, mine in zip(samples.rows, scores, strict=True)
    )
    if kind == "orm":
        rows = tuple(row.model_copy(update={"scores": tuple(s[-1:] for s in row.scores)}) for row in rows)
    return ScoreSet(
        ScoreSource(kind=kind, model="toy-model", model_hash="m", samples_hash=samples.content_hash),
        rows,
        f"{kind}-hash",
    )
