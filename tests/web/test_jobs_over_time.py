"""What happens to jobs as time goes by: progress is thinned, ends are mailed, work that lasts too long is ended."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.core import mail
from django.utils import timezone

from tests.web.people import signed_in
from tests.workers.people import operator, submitted
from webapp.accounts.models import User
from webapp.accounts.rules import Role
from webapp.accounts.services import Actor, membership_end, membership_set
from webapp.jobs import claims, reports, selectors, services
from webapp.jobs.live.topics import job_news
from webapp.jobs.models import Job, JobEvent, State
from webapp.jobs.notices import notices_send
from webapp.jobs.overviews import ended_since
from webapp.jobs.thinning import KEPT, events_thin
from webapp.jobs.transitions import StaleAttempt, event_append

pytestmark = pytest.mark.django_db


def begun(team=None):
    job = submitted(of=team)
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    claim = claims.job_claim(queue="cpu", worker=worker)
    assert claim is not None and claim.job_id == job.pk
    return job, claim


def long_over(job):
    Job.objects.filter(pk=job.pk).update(ended=timezone.now() - timedelta(days=2))


def test_progress_of_ended_jobs_is_thinned_and_what_people_read_stays():
    job, claim = begun()
    for number in range(450):
        event_append(job_id=job.pk, kind="progress", data={"done": number})
        if number % 150 == 0:
            reports.warning_write(job_id=job.pk, attempt=1, text=f"warning {number}")
    assert events_thin() == 0, "it runs"
    claims.job_finish(claim=claim)
    assert events_thin() == 0, "it has only just ended"
    long_over(job)
    before = [event.seq for event in selectors.events_after(job=job, seq=0, size=1000)]
    assert events_thin() == before[-1] - JobEvent.objects.filter(job=job).count()
    rows = selectors.events_after(job=job, seq=0, size=1000)
    seqs = [row.seq for row in rows]
    assert seqs == sorted(seqs) and set(seqs) < set(before)
    progress = [row.data["done"] for row in rows if row.kind == "progress"]
    assert KEPT <= len(progress) <= 2 * KEPT and progress[-1] == 449
    assert [row.text for row in rows if row.kind != "progress"] == [
        "Submitted by olga.", rows[1].text, "warning 0", "warning 150", "warning 300", "Finished."
    ]  # fmt: skip
    assert events_thin() == 0


def test_a_page_catches_up_over_gaps():
    job, claim = begun()
    for number in range(450):
        event_append(job_id=job.pk, kind="progress", data={"done": number})
    claims.job_finish(claim=claim)
    long_over(job)
    events_thin()
    last = Job.objects.get(pk=job.pk).next_seq - 1
    for after in (0, 7, 300, last - 1, last):
        news = job_news(job_id=job.pk, after=after)
        assert news[0].after == after and news[-1].last == last
        assert all(one.last == other.after for one, other in pairwise(news))


def test_a_retried_job_is_thinned_again_when_its_time_comes():
    job, claim = begun()
    claims.job_fail(claim=claim, code="x", message="y")
    long_over(job)
    events_thin()
    assert Job.objects.get(pk=job.pk).thinned
    services.job_retry(actor=operator(), job=Job.objects.get(pk=job.pk))
    assert not Job.objects.get(pk=job.pk).thinned


# --- too long ------------------------------------------------------------------------------------------------------


def test_work_is_counted_over_attempts_and_anew_after_a_retry(settings):
    settings.JOBS_LONGEST_HOURS = {"self-check": 1}
    job, claim = begun()
    worker = claims.worker_register(name="cpu-1", queue="cpu")
    claims.lease_renew(claim=claim, worker=worker, worked=600)
    claims.work_count(claim=claim, seconds=300)
    assert claims.time_left(claim=claim) == pytest.approx(2700)
    claims.job_stopped(claim=claim)
    claims.work_count(claim=claim, seconds=300)  # its attempt is over
    again = claims.job_claim(queue="cpu", worker=worker)
    assert claims.time_left(claim=again) == pytest.approx(2700)
    assert claims.job_overdue(claim=again) == State.FAILED
    row = Job.objects.get(pk=job.pk)
    assert row.error_code == "too-long" and "60 minutes" in row.error_message and "Self-check" in row.error_message
    with pytest.raises(StaleAttempt):
        claims.job_overdue(claim=again)
    assert services.job_retry(actor=operator(), job=row).worked == 0


# --- mail ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def anna(world, settings):
    """A manager who wants mail, where there is a mail server."""
    settings.HAS_MAIL = True
    settings.PUBLIC_URL = "https://studio.example"
    person = world.by_role[Role.MANAGER]
    User.objects.filter(pk=person.pk).update(mail_when_job_ends=True)
    return person


def ended(team, person, end):
    job, claim = begun(team)
    Job.objects.filter(pk=job.pk).update(created_by=person, title="SECRET", kind="import")
    end(claim)
    return job


def finish(claim):
    claims.job_finish(claim=claim)


def fail(claim):
    claims.job_fail(claim=claim, code="policy", message="The model has pickled weights")


def test_whoever_asked_is_mailed_once(world, anna):
    job = ended(world.team, anna, fail)
    assert [notices_send(), notices_send()] == [1, 0]
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == ([anna.email], "Import of Ward 7 has failed")
    assert "pickled weights" in sent.body and f"https://studio.example/t/ward-7/jobs/{job.pk}/" in sent.body
    assert "SECRET" not in sent.body + sent.subject


def nobody_asked(world, anna, settings):
    User.objects.update(mail_when_job_ends=False)


def no_longer_a_member(world, anna, settings):
    membership_end(actor=Actor(world.by_role[Role.OWNER]), team=world.team, user=anna)


def no_mail_server(world, anna, settings):
    settings.HAS_MAIL = False


@pytest.mark.parametrize("why", [nobody_asked, no_longer_a_member, no_mail_server])
def test_nobody_else_is_mailed_then_or_later(world, anna, settings, why):
    ended(world.team, anna, finish)
    why(world, anna, settings)
    assert notices_send() == 0
    settings.HAS_MAIL = True
    User.objects.update(mail_when_job_ends=True)
    assert notices_send() == 0 and mail.outbox == []


def test_pages_tell_the_end_of_a_job_to_those_only_who_may_see_it(world, anna):
    before = timezone.now() - timedelta(hours=1)
    job = ended(world.team, anna, fail)
    owner = Actor(world.by_role[Role.OWNER])
    assert ended_since(user=anna, since=before) == [job]
    membership_set(actor=owner, team=world.team, user=anna, role=Role.ANNOTATOR)
    assert ended_since(user=anna, since=before) == []
    membership_set(actor=owner, team=world.team, user=anna, role=Role.VIEWER)
    assert ended_since(user=anna, since=before) == [job]
    membership_end(actor=owner, team=world.team, user=anna)
    assert ended_since(user=anna, since=before) == []


def test_the_wish_is_in_the_profile_where_there_is_mail(world, settings):
    person = world.by_role[Role.VIEWER]
    client = signed_in(person)
    settings.HAS_MAIL = False
    assert "Mail me" not in client.get("/profile/").content.decode()
    settings.HAS_MAIL = True
    assert "Mail me" in client.get("/profile/").content.decode()
    client.post("/profile/", {"name": "Vera", "theme": "auto", "mail_when_job_ends": "on"})
    assert User.objects.get(pk=person.pk).mail_when_job_ends
    client.post("/theme/", {"theme": "dark"})
    assert User.objects.get(pk=person.pk).mail_when_job_ends
