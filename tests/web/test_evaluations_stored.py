"""Evaluations are stored whole: what an attempt left half-way is neither seen nor kept."""

import pytest

from tests.evaluations import measured
from tests.trees import some_questions
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.evaluations.models import Evaluation
from webapp.jobs.models import Job, State

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_ended_jobs_left_half_done_goes_with_its_files(world, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("webapp.jobs.dispatch.app.send_task", lambda *_, **__: None)
    settings.FILES = str(tmp_path)
    version = some_questions(Actor(world.by_role[Role.OWNER]), world.team)
    whole = measured(world.team, version)
    left = {}
    for state in (State.CANCELLED, State.RUNNING):
        job = Job.objects.create(team=world.team, kind="evaluation", spec={}, spec_hash="0" * 32, state=state)
        left[state] = Evaluation.objects.create(team=world.team, job=job, name="Half", ready=False)
        folder_of(Store.EVALUATIONS, left[state].pk).mkdir(parents=True)
    another = measured(world.team, version)
    assert set(Evaluation.objects.values_list("pk", flat=True)) == {whole.pk, another.pk, left[State.RUNNING].pk}
    assert {folder.name for folder in (tmp_path / "evaluations").iterdir()} == {
        str(whole.pk), str(another.pk), str(left[State.RUNNING].pk)
    }  # fmt: skip
