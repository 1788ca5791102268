"""A stored evaluation for tests of pages, made by the functions that a job calls."""

from pathlib import Path
from tempfile import TemporaryDirectory

from meds3core.config.evaluation import EvaluationConfig
from meds3core.evaluation.record import StoredEvaluation
from meds3core.evaluation.run import evaluate
from meds3core.report.evaluation_page import write_evaluation_page
from meds3core.types.samples import QuestionSamples
from tests.core.evaluation import pages
from tests.core.evaluation.builders import sample_of, sample_set
from webapp.accounts.actors import SYSTEM
from webapp.accounts.models import Team
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.models import Evaluation
from webapp.evaluations.services import REPORT, evaluation_store
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.bundled import bundled_ensure


def measured(team: Team, version: DatasetVersion, *, name: str = "Held out") -> Evaluation:
    """An evaluation of the bundled policy on this version: every other question right, greedily and in samples."""
    rows = []
    for place, question in enumerate(questions_of(version_id=version.pk)):
        answer = question.gold.value if place % 2 == 0 else "0"
        rows.append(QuestionSamples(question=question, samples=(sample_of(question, f"The answer is {answer}."),)))
    stored = evaluate(
        sample_set(rows, temperature=0.0), sample_set(rows), config=EvaluationConfig(resamples=100, p_resamples=100)
    )
    return shelved(team, stored, version=version, name=name)


def shelved(team: Team, stored: StoredEvaluation, *, version: DatasetVersion, name: str = "Held out") -> Evaluation:
    """An evaluation of the bundled policy put on the shelf as a job does it."""
    policy = bundled_ensure()
    reference = {"kind": "dataset", "id": str(version.pk)}
    spec = {"kind": "evaluation", "questions": reference, "policy": {"kind": "model", "id": str(policy.pk)}}
    job = job_submit(actor=SYSTEM, team=team, spec=spec, title=name)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    with TemporaryDirectory() as folder:
        stored.write(Path(folder))
        write_evaluation_page(stored, Path(folder) / REPORT)
        found = evaluation_store(
            job_id=job.pk, attempt=1, name=name, folder=Path(folder), benchmark=version.pk, policy=policy.pk
        )
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    return found


def two_sides(team: Team) -> tuple[StoredEvaluation, StoredEvaluation, Evaluation, Evaluation]:
    """A base and a tuned policy with figures of every kind (tests.core.evaluation.pages), and both on the shelf."""
    base, tuned = pages.evaluation(), pages.evaluation("tuned", 0.4)
    questions = [row.question for row in base.rows]
    version = dataset_from_questions(actor=SYSTEM, team=team, name="Clinic held out", questions=questions)
    first = shelved(team, base, version=version, name="Base")
    return base, tuned, first, shelved(team, tuned, version=version, name="Tuned")
