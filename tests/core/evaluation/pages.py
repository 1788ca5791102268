"""Evaluations with something of everything, for the tests of pages and terminal views."""

from functools import lru_cache

from meds3core.config.evaluation import EvaluationConfig, ProbeConfig
from meds3core.evaluation.compare import Comparison, compare
from meds3core.evaluation.faithfulness import (
    CorruptedOutcome,
    EarlyOutcome,
    FaithfulnessFigures,
    corrupted_figures,
    early_figures,
)
from meds3core.evaluation.judging import ClinicJudge
from meds3core.evaluation.record import StoredEvaluation
from meds3core.evaluation.robustness import transform_figures, transformed
from meds3core.evaluation.run import Probes, Validation, evaluate
from meds3core.evaluation.stages import StageFigures, stage_figures, stage_outcomes
from meds3core.types.question import Question
from meds3core.types.samples import QuestionSamples, QuestionScores
from tests.core.evaluation.builders import (
    clinic_rows,
    greedy_of,
    informed_scores,
    number_question,
    row_of,
    sample_set,
    score_set,
)

HOSTILE = (
    "</script><script>document.title='owned'</script><!-- <script> \u2028 "
    "<img src=x onerror=\"document.title='owned'\">"
)
QUICK = EvaluationConfig(resamples=200, p_resamples=500, subsets=10)
JUDGE = ClinicJudge()


@lru_cache
def evaluation(name: str = "base", rate_scale: float = 1.0, questions: int = 45) -> StoredEvaluation:
    """All sections filled; the last question, its answers and the policy's name are hostile."""
    rows = (*clinic_rows(questions, 6, seed=len(name), rate_scale=rate_scale), hostile_row(6))
    samples = sample_set(rows, name=name)
    scores = {"prm": score_set(samples, informed_scores(rows[:-1], JUDGE) | _flat(rows[-1]))}
    others = clinic_rows(27, 6, split="train", seed=7)
    known = sample_set(others, name=name)
    validation = Validation(known, {"prm": score_set(known, informed_scores(others, JUDGE))})
    greedy = greedy_of(rows, name=name)
    return evaluate(greedy, samples, scores, JUDGE, validation, QUICK, probes=_probes(greedy.rows[:-1]))


@lru_cache
def comparison() -> Comparison:
    return compare(evaluation(), evaluation("tuned", 0.4))


@lru_cache
def stages() -> tuple[StageFigures, ...]:
    runs = {
        name: [clinic_rows(60, 1, seed=seed, rate_scale=scale) for seed in seeds]
        for name, scale, seeds in (("base", 1.0, (0,)), ("control", 0.95, (1, 2)), ("SFT 1", 0.5, (3, 4)))
    }
    outcomes = [stage_outcomes(name, rows, judge=JUDGE, description=f"<b>{name}</b>") for name, rows in runs.items()]
    last = stage_outcomes("DPO 2", runs["SFT 1"], after="SFT 1", judge=JUDGE)
    return stage_figures([*outcomes, last])


def hostile_row(n: int) -> QuestionSamples:
    question = number_question(f"q {HOSTILE[:40]} & = + #", gold="4", domain=HOSTILE[:30])
    question = Question(**{**dict(question), "text": HOSTILE})
    return row_of(question, *[(HOSTILE, "The answer is 4.")] * n)


def _flat(row):
    scores = tuple((0.5,) * len(sample.bodies) for sample in row.samples)
    return {row.question.id: QuestionScores(question_id=row.question.id, scores=scores, scored_tokens=9)}


def _probes(rows) -> Probes:
    found = []
    for name, (changed, left_out) in transformed([row.question for row in rows], ProbeConfig()).items():
        by_id = {row.question.id: row for row in rows}
        after = [QuestionSamples(question=each, samples=by_id[each.id].samples) for each in changed]
        found.append(transform_figures(name, rows, after, left_out))
    early = [EarlyOutcome(row.question, (row.samples[0],) * 3) for row in rows if row.samples[0].answer]
    curve, area = early_figures(early)
    corrupted = [CorruptedOutcome(row.question, 1, row.samples[0], row.samples[0]) for row in rows]
    faithful = FaithfulnessFigures(early=curve, area=area, corrupted=corrupted_figures(corrupted, 2, JUDGE))
    return Probes(tuple(each for each in found if each is not None), faithful)
