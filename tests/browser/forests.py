"""Searches full of trees for the browser tests of trees, without a worker. Run by `Studio.call`."""

from typing import Any


def forest(*, team: str, username: str, count: int = 8, size: int = 40) -> dict[str, Any]:
    """Two finished searches of the same questions, the first one's trees scored by two reward models, a step flagged.

    Gives the team's slug, the searches' ids, and the first search's trees in the order of their questions.
    """
    from datetime import timedelta

    from tests.core.trees.factory import question, tree
    from tests.trees import search_spec
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import Team, User
    from webapp.annotation.services import step_flag
    from webapp.datasets.services import dataset_from_questions
    from webapp.jobs.models import Job, State
    from webapp.jobs.services import job_submit
    from webapp.registry.models import ModelVersion
    from webapp.trees.models import Tree
    from webapp.trees.services import questions_claim, search_prepare, tree_score_store, tree_store

    found = Team.objects.get(name=team)
    actor = Actor(User.objects.get(username=username))
    asked = [question(seed) for seed in range(count)]
    version = dataset_from_questions(actor=actor, team=found, name="Ward questions", questions=asked)
    searches = []
    for number, title in enumerate(("First search", "Second search")):
        spec = search_spec(version, search={"rollouts": 4 + 4 * number})
        job = job_submit(actor=actor, team=found, spec=spec, title=title)
        began = job.created - timedelta(days=2)  # long ago: nobody is told of its end any more
        Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1, started=began)
        search_prepare(search_id=job.pk, version_id=version.pk)
        for one in questions_claim(search_id=job.pk, job_id=job.pk, attempt=1, count=count):
            grown = tree(one.position + 1000 * number, size=size, of=one.question)
            made = tree_store(job_id=job.pk, attempt=1, position=one.position, tree=grown, question_row_id=one.row_id)
            later = began + timedelta(seconds=7 * one.position)
            Tree.objects.filter(pk=made).update(created=later)
        searches.append(job)
    trees = list(Tree.objects.filter(job=searches[0]).order_by("position"))
    for number, name in enumerate(("Careful judge", "Quick judge")):
        prm = ModelVersion.objects.create(team=found, name=name, number=1, kind="prm", ready=True)
        for row in trees:
            scores = [((node * 37 + number * 11) % 100) / 100 for node in range(row.nodes + 1)]
            tree_score_store(job_id=searches[0].pk, attempt=1, tree_id=row.pk, model_id=prm.pk, scores=scores)
    step_flag(actor=actor, tree=trees[0], idx=2, comment="Is this dose per day or per dose?")
    for job in searches:
        ended = job.created - timedelta(days=2, minutes=-3)
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, done=count, total=count, unit="trees", ended=ended)
    return {
        "slug": found.slug,
        "searches": [str(job.pk) for job in searches],
        "trees": [str(row.pk) for row in trees],
    }
