"""Small evolutions for browser tests. Run in the process that may use the ORM (`Studio.call`)."""


def evolution(*, team: str, username: str, title: str) -> str:
    """A loop over a few clinic questions waits for a worker; gives its id."""
    from meds3core.sandbox.questions import generate
    from tests.core.evolution.small import small_config
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import Team, User
    from webapp.datasets.services import dataset_from_questions
    from webapp.jobs.services import job_submit
    from webapp.registry.bundled import bundled_ensure

    found, actor = Team.objects.get(name=team), Actor(User.objects.get(username=username))
    asked = {
        split: dataset_from_questions(
            actor=actor, team=found, name=f"Clinic, {split}", questions=list(generate(split, count, seed=5))
        )
        for split, count in (("train", 12), ("test", 5))
    }
    spec = {
        "kind": "evolution",
        "name": "Loop",
        "questions": {"kind": "dataset", "id": str(asked["train"].pk)},
        "held_out": {"kind": "dataset", "id": str(asked["test"].pk)},
        "policy": {"kind": "model", "id": str(bundled_ensure().pk)},
        "settings": small_config().model_dump(mode="json"),
    }
    return str(job_submit(actor=actor, team=found, spec=spec, title=title).pk)


def standing(*, job: str) -> dict[str, object]:
    """Where a loop stands, what was taken over, and how many scores of trees there are."""
    from webapp.jobs.models import Job, JobStage
    from webapp.trees.models import Tree, TreeScore

    found = Job.objects.get(pk=job)
    rows = JobStage.objects.filter(job=found)
    return {
        "state": found.state,
        "error": found.error_message,
        "summary": (found.result or {}).get("summary", ""),
        "taken": sorted(row.name for row in rows if row.details.get("taken_from")),
        "stages": sorted(row.name for row in rows),
        "scores": TreeScore.objects.filter(job=found).count(),
        "trees": Tree.objects.filter(job=found).count(),
    }
