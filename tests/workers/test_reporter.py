"""What a job's process reports outlasts a database that is away for a while."""

import pytest
from django.db import OperationalError, connection

from meds3core.progress import CancelToken, ProgressEvent
from tests.workers.people import submitted
from webapp.jobs import claims, selectors
from webapp.jobs.models import Job, MetricChunk
from workers.reporter import Reporter

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_said_while_the_database_was_away_is_written_when_it_is_back(monkeypatch):
    monkeypatch.setattr("webapp.jobs.dispatch.app.send_task", lambda *_, **__: None)
    job = submitted()
    claims.job_claim(queue="cpu", worker=claims.worker_register(name="cpu-1", queue="cpu"))
    reporter = Reporter(job.pk, 1, CancelToken())
    reporter.emit(ProgressEvent(kind="stage", data={"name": "Training"}))
    reporter.emit(ProgressEvent(kind="warning", data={"text": "3 of 40 examples are too long, left out."}))
    reporter.emit(ProgressEvent(kind="metrics", data={"step": 1, "values": {"loss": 0.5}}))

    def away(*_):
        raise OperationalError("the database does not answer")

    with connection.execute_wrapper(away):
        reporter._write(last=True)
    assert not MetricChunk.objects.exists()
    reporter.emit(ProgressEvent(kind="progress", done=2, total=4))
    reporter._write(last=True)
    told = [event.text for event in selectors.events_after(job=job, seq=0) if event.kind in ("stage", "warning")]
    assert told == ["Training", "3 of 40 examples are too long, left out."]
    assert MetricChunk.objects.get().values == [0.5]
    after = Job.objects.get(pk=job.pk)
    assert (after.stage, after.done) == ("Training", 2)
