"""Datasets for browser tests. These functions run in the second process: `studio.call(stored, team=…)`."""


def stored(*, team: str, name: str, count: int = 60, start: int = 0) -> str:
    """A dataset of clinic questions with sources and difficulties; gives its version's id."""
    from meds3core.sandbox.questions import generate
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.datasets.services import dataset_from_questions

    made = [
        question.model_copy(
            update={
                "source": ("MedQA", "PubMedQA", "the clinic")[number % 3],
                "difficulty": None if number % 5 == 4 else (number % 5) / 4,
            }
        )
        for number, question in enumerate(generate("train", start + count, seed=11)[start:])
    ]
    found = Team.objects.get(name=team)
    return str(dataset_from_questions(actor=SYSTEM, team=found, name=name, questions=made).pk)


def work_done(*, team: str) -> list[str]:
    """Do the team's waiting jobs, one after the other; the kinds."""
    from tests.workers.attempts import done
    from webapp.jobs.models import Job, State

    waiting = list(Job.objects.filter(team__name=team, state=State.QUEUED).order_by("id"))
    for job in waiting:
        done(job)
    return [job.kind for job in waiting]
