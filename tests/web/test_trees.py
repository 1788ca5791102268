"""Questions are handed out once, trees stored whole or not at all, and shared searches follow their shards."""

import json
import zlib

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from meds3core.data.trees import tree_line
from meds3core.types.tree import Tree as TreeRecord
from tests.trees import search_spec, small_tree, some_questions, submitted_search
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.datasets.selectors import questions_of
from webapp.jobs import claims, services, shards
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import JobError, StaleAttempt
from webapp.trees import selectors
from webapp.trees import services as trees
from webapp.trees.models import NodeRow, SearchQuestion, Tree

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_queue(monkeypatch):
    """Doorbells are for tests/workers: here nobody listens."""
    monkeypatch.setattr("webapp.jobs.dispatch.app.send_task", lambda *_, **__: None)


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def version(world, owner):
    return some_questions(owner, world.team)


def claimed(name="gpu-a"):
    worker = claims.worker_register(name=name, queue="gpu")
    return claims.job_claim(queue="gpu", worker=worker)


def prepared(job, version):
    assert trees.search_prepare(search_id=job.pk, version_id=version.pk) == version.questions
    return job


def take(job, claim, count=2):
    return trees.questions_claim(search_id=job.pk, job_id=claim.job_id, attempt=claim.attempt, count=count)


def store(job, claim, one, **others):
    return trees.tree_store(
        job_id=claim.job_id,
        attempt=claim.attempt,
        position=one.position,
        tree=small_tree(one.question),
        search_id=job.pk,
        question_row_id=one.row_id,
        **others,
    )


def states(job):
    return dict(SearchQuestion.objects.filter(job=job).values_list("position", "state"))


def test_a_tree_is_stored_with_what_lists_need_and_its_arena_says_all(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version), version)
    claim = claimed()
    one = take(job, claim, 1)[0]
    wanted = small_tree(one.question)
    tree = Tree.objects.get(pk=store(job, claim, one))
    assert zlib.decompress(tree.arena).decode() == tree_line(wanted)
    assert TreeRecord.model_validate_json(trees.arena_read(tree.arena)) == wanted
    assert (tree.nodes, tree.depth, tree.rollouts, tree.generated_tokens) == (4, 3, 8, 120)
    assert (tree.right_answers, tree.wrong_answers, tree.root_value, tree.largest_drop) == (1, 1, 0.5, 0.5)
    assert tree.solved == pytest.approx((4 + 1) / (8 + 2))  # right rollouts and answers of all rollouts and answers
    assert (tree.team, tree.content_hash, tree.question_hash) == (
        world.team, wanted.content_hash, one.question.content_hash
    )  # fmt: skip
    rows = list(NodeRow.objects.filter(tree=tree).order_by("idx").values_list("idx", "right", "rollouts", "drop"))
    assert rows == [(0, 0, 0, None), (1, 3, 4, None), (2, 1, 4, 0.5), (3, 0, 0, -0.25), (4, 0, 0, 0.25)]
    assert states(job) == {0: "done", 1: "waiting", 2: "waiting", 3: "waiting"}


def test_a_write_of_an_attempt_that_is_over_leaves_nothing(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version), version)
    claim = claimed()
    one = take(job, claim, 1)[0]
    claims.job_stopped(claim=claim)
    again = claimed()
    for stale in (
        lambda: store(job, claim, one),
        lambda: take(job, claim),
        lambda: trees.question_fail(
            search_id=job.pk, job_id=claim.job_id, attempt=claim.attempt, position=one.position, code="engine"
        ),
    ):
        with pytest.raises(StaleAttempt):
            stale()
    assert not Tree.objects.exists()
    assert not NodeRow.objects.exists()
    assert trees.questions_reclaim(search_id=job.pk) == 1
    assert [each.position for each in take(job, again, 9)] == [0, 1, 2, 3]


def test_the_answer_of_a_commit_may_be_lost(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version), version)
    claim = claimed()
    one = take(job, claim, 1)[0]
    assert store(job, claim, one) == store(job, claim, one)
    assert Tree.objects.count() == 1


def test_questions_whose_handing_out_was_not_heard_are_handed_out_again(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version), version)
    claim = claimed()
    heard = take(job, claim, 1)
    lost = take(job, claim, 2)
    assert trees.questions_reclaim(search_id=job.pk) == 0, "the attempt lives"
    who = {"search_id": job.pk, "job_id": claim.job_id, "attempt": claim.attempt, "count": 2}
    held = {each.position for each in heard}
    assert trees.questions_claim(**who, held=held) == lost
    held |= {each.position for each in lost}
    assert [each.position for each in trees.questions_claim(**who, held=held)] == [3]


def test_a_shard_that_pauses_late_goes_on_when_the_whole_does(world, owner, version):
    job = submitted_search(owner, world.team, version, shards=2)
    first = claimed("gpu-a")
    for part in job.shards.all():
        services.job_move(
            job_id=part.pk,
            sources=(State.QUEUED,) if part.pk != first.job_id else (State.RUNNING,),
            to=State.PAUSED if part.pk != first.job_id else State.PAUSING,
            text="Paused with the whole.",
        )
    Job.objects.filter(pk=job.pk).update(state=State.PAUSED)
    services.job_resume(actor=owner, job=job)
    claims.job_stopped(claim=first)
    shards.parent_settle(parent_id=job.pk)
    assert set(job.shards.values_list("state", flat=True)) == {State.QUEUED}
    assert claims.job_claim(queue="gpu", worker=claims.worker_register(name="gpu-a", queue="gpu"))


def test_what_was_asked_of_a_whole_before_it_was_resumed_stops_no_shard(world, owner, version):
    job = submitted_search(owner, world.team, version, shards=2)
    services.job_cancel(actor=owner, job=job)
    seen = Job.objects.get(pk=job.pk)
    services.job_retry(actor=owner, job=job)
    with CaptureQueriesContext(connection) as asked:
        shards._pass_down(seen)
    (update, *_) = [one["sql"] for one in asked if one["sql"].startswith("UPDATE")]
    assert '"jobs_job"."state" IN' in update, "compared where the row is written"
    assert set(job.shards.values_list("state", flat=True)) == {State.QUEUED}


def test_two_workers_never_have_the_same_question(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version, shards=2), version)
    first, second = claimed("gpu-a"), claimed("gpu-b")
    assert {first.job_id, second.job_id} == set(job.shards.values_list("pk", flat=True))
    one, other = take(job, first, 3), take(job, second, 3)
    assert [each.position for each in one] == [0, 1, 2]
    assert [each.position for each in other] == [3]
    assert trees.questions_reclaim(search_id=job.pk) == 0, "both are alive"


def test_questions_of_a_lost_worker_go_to_the_others_and_the_whole_ends_well(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version, shards=2), version)
    first, second = claimed("gpu-a"), claimed("gpu-b")
    assert Job.objects.get(pk=job.pk).state == State.RUNNING
    lost, kept = take(job, first, 2), take(job, second, 1)
    claims.job_crashed(claim=first, account="The job's process was killed")
    assert trees.questions_reclaim(search_id=job.pk) == len(lost)
    for one in [*kept, *take(job, second, 9)]:
        store(job, second, one)
    claims.job_finish(claim=second)
    assert Job.objects.get(pk=job.pk).state == State.QUEUED, "its other shard waits for a worker"
    claims.job_finish(claim=claimed("gpu-a"))
    whole = Job.objects.get(pk=job.pk)
    assert whole.state == State.SUCCEEDED
    assert (whole.done, whole.total, whole.result["trees"], whole.result["failures"]) == (4, 4, 4, 0)
    told = list(whole.events.order_by("seq").values_list("kind", "text"))
    assert ("warning", "Part 1 of 2: The job's process was killed; the job goes on from the beginning as soon as a "
            "worker is free.") in told  # fmt: skip
    assert told[-1] == ("state", "Finished.")


def test_what_is_asked_of_the_whole_reaches_its_shards(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version, shards=2), version)
    claim = claimed()

    def all_states():
        return [Job.objects.get(pk=job.pk).state, *job.shards.order_by("pk").values_list("state", flat=True)]

    services.job_pause(actor=owner, job=job)
    assert all_states() == [State.PAUSING, State.PAUSING, State.PAUSED]
    claims.job_stopped(claim=claim)
    assert all_states() == [State.PAUSED, State.PAUSED, State.PAUSED]
    services.job_resume(actor=owner, job=job)
    assert all_states() == [State.QUEUED, State.QUEUED, State.QUEUED]
    claim = claimed()
    services.job_cancel(actor=owner, job=job)
    assert all_states() == [State.CANCELLING, State.CANCELLING, State.CANCELLED]
    claims.job_stopped(claim=claim)
    assert all_states() == [State.CANCELLED] * 3
    services.job_retry(actor=owner, job=job)
    assert all_states() == [State.QUEUED] * 3
    with pytest.raises(JobError, match="part of work that several workers share"):
        services.job_cancel(actor=owner, job=job.shards.first())


def test_a_whole_fails_when_its_shards_end_before_all_is_done_and_a_retry_goes_on(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version, shards=2), version)
    first = claimed("gpu-a")
    for one in take(job, first, 3):
        store(job, first, one)
    claims.job_fail(claim=first, code="policy", message="The model is gone.")
    claims.job_fail(claim=claimed("gpu-b"), code="policy", message="The model is gone.")
    whole = Job.objects.get(pk=job.pk)
    assert (whole.state, whole.error_code) == (State.FAILED, "shards-failed")
    assert "The model is gone." in whole.error_message
    services.job_retry(actor=owner, job=whole)
    again = claimed("gpu-a")
    (one,) = take(job, again, 9)
    store(job, again, one)
    claims.job_finish(claim=again)
    claims.job_finish(claim=claimed("gpu-b"))
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


def test_the_sweep_brings_a_parent_up_that_missed_its_shards(world, owner, version):
    job = submitted_search(owner, world.team, version, shards=2)
    Job.objects.filter(parent=job).update(state=State.CANCELLED)  # as if the process had died before it could tell
    assert list(shards.parents_open()) == [job]
    assert shards.parent_settle(parent_id=job.pk) == State.FAILED
    assert not shards.parents_open().exists()


def test_an_evolution_stores_trees_by_stage_without_questions_of_its_own(world, owner, version):
    job = submitted_search(owner, world.team, version)
    claim = claimed()
    question = small_tree(next(questions_of(version_id=version.pk)))
    for stage in ("search-1", "search-2"):
        for _ in range(2):  # a stage that is read again after a restart
            trees.tree_store(job_id=job.pk, attempt=claim.attempt, position=0, tree=question, stage=stage)
    assert sorted(Tree.objects.filter(job=job).values_list("stage", flat=True)) == ["search-1", "search-2"]


def test_figures_of_a_search_add_up(world, owner, version):
    job = prepared(submitted_search(owner, world.team, version), version)
    claim = claimed()
    for one in take(job, claim, 4):
        store(job, claim, one)
    figures = selectors.search_figures(job_id=job.pk)
    assert (figures.trees, figures.nodes, figures.rollouts, figures.solved) == (4, 16, 32, 4)
    assert figures.stop_reasons == {"complete": 4}
    assert sum(figures.solved_bins) == 4
    assert figures.solved_bins[5] == 4
    standing = selectors.search_standing(job_id=job.pk)
    assert standing.complete
    assert standing.result["trees"] == 4


def test_a_search_says_at_once_what_does_not_fit_together(world, owner, version):
    spec = search_spec(version, search={"simulation": "scorer"})
    with pytest.raises(JobError, match="names its reward model"):
        services.job_submit(actor=owner, team=world.team, spec=json.loads(json.dumps(spec)))
    assert transaction.get_autocommit()
