"""A stage that chooses an iteration's questions: unsearched ones, and those that earlier trees did not solve."""

from collections.abc import Iterable, Sequence
from typing import Any

from meds3core.config.evolution import QuestionPlan
from meds3core.data.curriculum import sample_curriculum
from meds3core.data.overlap import OverlapKind, QuestionIndex, find_overlap
from meds3core.data.read import load_questions
from meds3core.data.trees import read_trees
from meds3core.data.write import write_questions
from meds3core.errors import UserError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.types.question import Question
from meds3core.types.record import Record
from meds3core.types.tree import Tree

QUESTIONS = "questions.jsonl"


class CurriculumStage(Record):
    """Inputs: `questions`, a file; `trees`, those of earlier iterations; `held-out`, files to stay clear of.

    Makes `questions.jsonl`.
    """

    plan: QuestionPlan = QuestionPlan()


CURRICULUM = StageKind("curriculum", 1, CurriculumStage, f"{__name__}:run", seconds_per_unit=0.001)


class NothingLeft(UserError):
    """Every question is solved; the loop has nothing more to learn from."""

    code = "nothing-left"


def run(settings: CurriculumStage, job: StageJob) -> dict[str, Any]:
    """Choose, and write the questions in the order of the file."""
    loaded = load_questions(job.path("questions")).questions
    questions = without_overlaps(loaded, job, settings.plan.drop_overlaps)
    if not questions:
        raise NothingLeft("every training question overlaps a held-out question: give others")
    rates = solve_rates(tree for path in job.paths("trees") for tree in read_trees(path))
    chosen = choose(questions, rates, settings.plan)
    if not chosen:
        raise NothingLeft("every question was solved in all rollouts: give more or harder questions")
    write_questions(job.folder / QUESTIONS, chosen)
    searched = sum(question.content_hash in rates for question in chosen)
    return {
        "questions": len(chosen),
        "again": searched,
        "fresh": len(chosen) - searched,
        "solved": sum(rate == 1.0 for rate in rates.values()),
        "overlapping": len(loaded) - len(questions),
    }


def without_overlaps(questions: Sequence[Question], job: StageJob, kinds: Sequence[OverlapKind]) -> list[Question]:
    """The questions that are not among the held-out ones, nor like one in these ways."""
    index = QuestionIndex()
    for path in job.paths("held-out"):
        for question in load_questions(path).questions:
            index.add(question)
    if not len(index) or not kinds:
        return list(questions)
    report = find_overlap(questions, index)
    dropped = {overlap.id for overlap in report.overlaps if overlap.kind in kinds}
    return [question for question in questions if question.id not in dropped]


def solve_rates(trees: Iterable[Tree]) -> dict[str, float]:
    """Share of right rollouts in each question's newest tree, by content hash; 1 only if every rollout and answer is.

    Trees come in order of iteration.
    """
    rates = {}
    for tree in trees:
        outcomes = [outcome for node in tree.nodes for outcome in node.outcomes]
        outcomes += [int(node.verdict) for node in tree.nodes if node.verdict is not None]
        if outcomes:
            rates[tree.question.content_hash] = sum(outcomes) / len(outcomes)
    return rates


def choose(questions: Sequence[Question], rates: dict[str, float], plan: QuestionPlan) -> list[Question]:
    """The preferred kind of questions by its quotas, then the other kind up to the count, or all when there is none."""
    searched = [question for question in questions if question.content_hash in rates]
    fresh = [question for question in questions if question.content_hash not in rates]
    pools = [searched, fresh] if plan.prefer == "again" else [fresh, searched]
    quotas = plan.quotas
    by_id = {question.id: rates[question.content_hash] for question in searched}
    chosen: set[str] = set()
    for pool in pools:
        left = None if quotas.count is None else quotas.count - len(chosen)
        if left == 0 or not pool:
            continue
        sample = sample_curriculum(pool, by_id, quotas.model_copy(update={"count": left}))
        chosen |= {question.id for question in sample.questions}
    return [question for question in questions if question.id in chosen]
