"""What tests of searches share: a small tree written by hand, questions, and searches submitted as people do."""

from pathlib import Path

from meds3core.config.labels import PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.data.labels import write_labels
from meds3core.labels.build import build_labels
from meds3core.sandbox.questions import generate
from meds3core.types.question import Question
from meds3core.types.tree import Move, Node, Provenance, RolloutSample, StopReason, Tree, TreeTotals
from webapp.accounts.models import Team
from webapp.accounts.services import Actor
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import dataset_from_questions
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.bundled import bundled_ensure
from webapp.registry.labels import label_set_register
from webapp.registry.models import LabelSet
from webapp.trees.models import Tree as TreeRow
from webapp.trees.services import arena_read, questions_claim, search_prepare, tree_store

LABEL_CONFIGS = {"sft": SftLabelConfig, "pairs": PairLabelConfig, "steps": StepLabelConfig}

PROVENANCE = Provenance(
    policy="clinic", policy_hash="p" * 8, engine="scripted", prompt="plain@1", prompt_hash="h", config_hash="c", seed=0
)


def small_tree(question: Question) -> Tree:
    """Five nodes: a step, one that drops, a right and a wrong answer."""
    nodes = (
        Node(id=0, parent=-1, depth=0, move=Move.ROOT, text="Let us see.", value=0.5, visits=4),
        Node(
            id=1, parent=0, depth=1, move=Move.REASON, text="A first thought.", outcomes=(1, 1, 0, 1), value=0.75,
            rollout_value=0.75, visits=3, samples=(RolloutSample(text="so", answer="7", correct=True),),
        ),
        Node(
            id=2, parent=1, depth=2, move=Move.REASON, text="A worse thought.", outcomes=(0, 0, 0, 1), value=0.25,
            rollout_value=0.25, visits=2,
        ),
        Node(
            id=3, parent=1, depth=2, move=Move.FINISH, text="The answer is 7.", answer="7", verdict=True, complete=True,
            value=1.0, rollout_value=1.0, visits=1,
        ),
        Node(
            id=4, parent=2, depth=3, move=Move.FINISH, text="The answer is 8.", answer="8", verdict=False,
            complete=True, value=0.0, rollout_value=0.0, visits=1,
        ),
    )  # fmt: skip
    totals = TreeTotals(requests=10, rollouts=8, generated_tokens=120, prompt_tokens=300)
    return Tree(question=question, provenance=PROVENANCE, stop_reason=StopReason.COMPLETE, totals=totals, nodes=nodes)


def some_questions(actor: Actor, team: Team, count: int = 4, *, name: str = "Clinic") -> DatasetVersion:
    """A dataset of clinic questions."""
    return dataset_from_questions(actor=actor, team=team, name=name, questions=generate("train", count))


def search_spec(version: DatasetVersion, **others) -> dict:
    """A quick search with the bundled policy whose result does not depend on company."""
    quick = {"max_nodes": 6, "rollouts": 2, "min_rollouts": 2, "step_tokens": 64, "rollout_tokens": 128, "max_depth": 8}
    return {
        "kind": "search",
        "questions": {"kind": "dataset", "id": str(version.pk)},
        "policy": {"kind": "model", "id": str(bundled_ensure().pk)},
        "engine": {"kind": "transformers", "batch_invariant": True},
        "search": quick | others.pop("search", {}),
        "concurrency": 2,
        **others,
    }


def submitted_search(actor: Actor, team: Team, version: DatasetVersion, **others) -> Job:
    """A search that waits for a worker."""
    return job_submit(actor=actor, team=team, spec=search_spec(version, **others), title="A search")


def finished_search(actor: Actor, team: Team, count: int = 3, *, name: str = "Clinic", title: str = "A search") -> Job:
    """A search that is over, with a small tree for each question, stored as a worker stores them."""
    version = some_questions(actor, team, count, name=name)
    job = job_submit(actor=actor, team=team, spec=search_spec(version), title=title)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    search_prepare(search_id=job.pk, version_id=version.pk)
    for one in questions_claim(search_id=job.pk, job_id=job.pk, attempt=1, count=count):
        tree_store(
            job_id=job.pk, attempt=1, position=one.position, tree=small_tree(one.question), question_row_id=one.row_id
        )
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, done=count, total=count, unit="trees")
    job.refresh_from_db()
    return job


def built_labels(actor: Actor, team: Team, search: Job, folder: Path, *, kind: str = "steps", **settings) -> LabelSet:
    """A label set of a search's trees, registered as its job registers it."""
    spec = {"kind": "labels", "trees": [{"kind": "trees", "id": str(search.pk)}], kind: {"kind": kind, **settings}}
    job = job_submit(actor=actor, team=team, spec=spec)
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
    config = LABEL_CONFIGS[kind](**settings)
    rows = TreeRow.objects.filter(job=search).order_by("position").values_list("arena", flat=True)
    found = build_labels((Tree.model_validate_json(arena_read(bytes(arena))) for arena in rows), config)
    write_labels(folder / str(job.pk), found)
    row = label_set_register(job_id=job.pk, attempt=1, folder=folder / str(job.pk), name=f"Labels of {search.title}")
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    return row
