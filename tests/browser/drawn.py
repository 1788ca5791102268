"""Trees for the browser tests of their drawing. Run in the process that may use the ORM (`Studio.call`)."""

from typing import Any


def stored(*, team: str, size: int, title: str = "Drawn") -> dict[str, Any]:
    """A search with one finished tree of so many nodes, scored by a reward model."""
    from meds3core.types.tree import Tree
    from tests.drawn import grown
    from tests.trees import finished_search
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.jobs.models import Job, State
    from webapp.registry.bundled import bundled_ensure
    from webapp.trees import models
    from webapp.trees.services import arena_read, tree_store

    found = Team.objects.get(name=team)
    job = finished_search(SYSTEM, found, 1, name=f"Questions of {title}", title=title)
    small = models.Tree.objects.get(job=job)
    question = Tree.model_validate_json(arena_read(bytes(small.arena))).question
    small.delete()
    tree = grown(question, size)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING)  # its worker stores it
    made = tree_store(job_id=job.pk, attempt=1, position=0, tree=tree)
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    scores = [node.value if node.value is None else round(node.value * 0.9, 4) for node in tree.nodes]
    models.TreeScore.objects.create(tree_id=made, model=bundled_ensure(), scores=scores)
    return {"team": found.slug, "tree": str(made), "search": str(job.pk)}


def figures(*, tree: str) -> dict[str, Any]:
    """What the library says of a stored tree: by node what a drawing shows of it."""
    from meds3core.types.tree import Tree
    from webapp.trees import models
    from webapp.trees.reading import node_figures
    from webapp.trees.services import arena_read

    row = models.Tree.objects.get(pk=tree)
    record = Tree.model_validate_json(arena_read(bytes(row.arena)))
    counted = node_figures(record)
    return {
        "children": record.children(),
        "nodes": [
            {
                "depth": node.depth,
                "move": node.move.value,
                "value": node.value,
                "visits": node.visits,
                "verdict": node.verdict,
                "text": node.text,
                "right": each.right,
                "rollouts": each.rollouts,
                "drop": each.drop,
            }
            for node, each in zip(record.nodes, counted, strict=True)
        ],
    }


def growing(*, team: str) -> dict[str, Any]:
    """A search whose only question is grown by nobody yet."""
    from tests.trees import some_questions, submitted_search
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.jobs.models import Job, State
    from webapp.trees.services import search_prepare

    found = Team.objects.get(name=team)
    version = some_questions(SYSTEM, found, 1, name="Growing questions")
    job = submitted_search(SYSTEM, found, version)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    search_prepare(search_id=job.pk, version_id=version.pk)
    return {"team": found.slug, "search": str(job.pk)}


def grow_to(*, search: str, size: int, finish: bool = False) -> str:
    """Its worker takes the question, publishes a tree of so many nodes, and stores it if that is the end."""
    import time
    from uuid import UUID

    from meds3core.types.question import Question
    from tests.drawn import grown
    from webapp.jobs.models import Job, State
    from webapp.trees.growing import GrowingTrees, growing_tree
    from webapp.trees.models import SearchQuestion
    from webapp.trees.services import questions_claim, tree_store
    from workers.kinds.search import snapshot

    job = UUID(search)
    questions_claim(search_id=job, job_id=job, attempt=1, count=1)
    row = SearchQuestion.objects.select_related("question").get(job=job, position=0)
    assert row.question is not None
    whole = grown(Question.model_validate(row.question.record), 40)
    tree = whole.model_copy(update={"nodes": whole.nodes[:size]})
    if finish:
        made = tree_store(job_id=job, attempt=1, position=0, tree=tree, question_row_id=row.question_id)
        Job.objects.filter(pk=job).update(state=State.SUCCEEDED)
        return str(made)
    with GrowingTrees(job) as published:
        published.publish(0, snapshot(tree))  # type: ignore[arg-type]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = growing_tree(search_id=job, position=0)
            if found and len(found["nodes"]) == size:
                break
            time.sleep(0.1)
    return ""


def wait_for_questions(*, search: str) -> None:
    """Until a worker has listed the search's questions."""
    import time
    from uuid import UUID

    from webapp.trees.models import SearchQuestion

    deadline = time.monotonic() + 240
    while not SearchQuestion.objects.filter(job=UUID(search)).exists():
        assert time.monotonic() < deadline, "no worker took the search"
        time.sleep(0.2)
