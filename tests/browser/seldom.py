"""What pages seldom show, for the browser tests: a search that failed, files that are gone. Run by `Studio.call`."""

from typing import Any


def oddments(*, team: str, username: str) -> dict[str, Any]:
    """A search without a tree that failed, a label set, an evaluation, and one whose files are lost; ids by name."""
    import shutil
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from tests.evaluations import measured
    from tests.trees import built_labels, finished_search, search_spec, some_questions
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import Team, User
    from webapp.common.files import Store, folder_of
    from webapp.jobs.models import Job, State
    from webapp.jobs.services import job_submit

    found = Team.objects.get(name=team)
    actor = Actor(User.objects.get(username=username))
    version = some_questions(actor, found, 2, name="Seldom asked")
    failed = job_submit(actor=actor, team=found, spec=search_spec(version), title="Broken search")
    Job.objects.filter(pk=failed.pk).update(
        state=State.FAILED, attempt=1, error_code="engine", error_message="The engine could not be started."
    )
    alone = finished_search(actor, found, 1, name="Asked once", title="Search by itself")
    with TemporaryDirectory() as folder:
        labels = built_labels(actor, found, alone, Path(folder))
    evaluation, lost = (measured(found, version, name=name) for name in ("Kept figures", "Lost figures"))
    shutil.rmtree(folder_of(Store.EVALUATIONS, lost.pk))
    made = {"failed": failed, "alone": alone, "labels": labels, "evaluation": evaluation, "lost": lost}
    return {"slug": found.slug, **{name: str(row.pk) for name, row in made.items()}}
