"""Sockets of pages about jobs: first what the page missed, then what comes."""

import asyncio
import json
from datetime import datetime
from typing import ClassVar
from urllib.parse import parse_qs

from django.http import Http404
from django.utils.dateparse import parse_datetime

from webapp.accounts.rules import Action, OperatorAction
from webapp.common.access import SIGNED_IN, Access
from webapp.common.databases import ask_database
from webapp.common.sockets import GuardedSocket
from webapp.jobs import overviews, selectors
from webapp.jobs.live.hub import hub
from webapp.jobs.live.parts import id_of, operations_parts
from webapp.jobs.live.topics import (
    JobTopic,
    News,
    OperationsTopic,
    PersonTopic,
    TeamTopic,
    Topic,
    end_message,
    job_news,
    rows_since,
)
from webapp.jobs.models import Job

WAITING_MOST = 100
"""Messages that wait for a slow page; with more it catches up from the database."""
ROWS_MOST = 100


class LiveSocket(GuardedSocket):
    """A socket that watches a topic. A subclass says which, and what a page that comes (back) has missed."""

    topic: Topic

    def missed(self) -> list[News]:
        """What brings the page from where it was to now. Called with the database at hand."""
        raise NotImplementedError

    async def serve(self) -> None:
        """Watch first, then look what was missed: so nothing falls between the two."""
        self._news: asyncio.Queue[News] = asyncio.Queue(WAITING_MOST)
        self._behind = False
        self.last = self._number("after")
        watched = hub()
        try:
            await watched.watch(self.topic, self)
            await self._catch_up()
            while True:
                news = await self._news.get()
                if self._behind or (news.last and news.after > self.last):
                    await self._catch_up()
                elif not news.last or news.last > self.last:
                    if news.last and news.after < self.last:
                        await self._catch_up()
                    else:
                        await self._tell(news)
        finally:
            watched.leave(self.topic, self)

    def offer(self, news: News) -> None:
        """From the hub; a page that does not keep up misses it and catches up later."""
        try:
            self._news.put_nowait(news)
        except asyncio.QueueFull:
            self._behind = True

    async def _catch_up(self) -> None:
        self._behind = False
        for news in await ask_database(self.missed)():
            await self._tell(news)

    async def _tell(self, news: News) -> None:
        await self.send(news.text)
        self.last = max(self.last, news.last)

    def _asked(self, name: str) -> str:
        """A value of the address that the page opened the socket with."""
        values = parse_qs(self.scope["query_string"].decode("latin1")).get(name)
        return values[0] if values else ""

    def _number(self, name: str) -> int:
        text = self._asked(name)
        return int(text) if text.isdecimal() and len(text) < 19 else 0


class JobSocket(LiveSocket):
    """One job of a team; `?after=` the last event that the page has."""

    access: ClassVar[Access] = Access(action=Action.JOB_VIEW)
    job: Job

    def prepare(self) -> None:
        """The job, in this team."""
        assert self.admission.team is not None
        job_id = self.scope["url_route"]["kwargs"]["job_id"]
        self.job = selectors.job_of(team=self.admission.team, job_id=job_id)
        self.topic = JobTopic(self.job.pk)

    def missed(self) -> list[News]:
        """Events after the last one, and all parts as they are now."""
        return job_news(job_id=self.job.pk, after=self.last)


class OwnJobSocket(JobSocket):
    """One of the instance's own jobs, for operators; a team's is not found here."""

    access: ClassVar[Access] = Access(operator=OperatorAction.OPERATIONS_VIEW)

    def prepare(self) -> None:
        """The job, of the system team."""
        self.job = overviews.any_job(job_id=self.scope["url_route"]["kwargs"]["job_id"])
        if not self.job.team.is_system:
            raise Http404
        self.topic = JobTopic(self.job.pk)


class TeamJobsSocket(LiveSocket):
    """A team's jobs; `?have=` the rows that the page shows, as `<id>.<seq>,…`."""

    access: ClassVar[Access] = Access(action=Action.JOB_VIEW)

    def prepare(self) -> None:
        """The team's topic."""
        assert self.admission.team is not None
        self.topic = TeamTopic(self.admission.team)

    def missed(self) -> list[News]:
        """Rows that changed since, and new ones."""
        have = {}
        for entry in self._asked("have").split(",")[:ROWS_MOST]:
            job, _, seq = entry.partition(".")
            found = id_of(job)
            if found and seq.isdecimal() and len(seq) < 19:
                have[found] = int(seq)
        assert self.admission.team is not None
        return [News(rows_since(team=self.admission.team, have=have))]


class OperationsSocket(LiveSocket):
    """Queues, workers, failures."""

    access: ClassVar[Access] = Access(operator=OperatorAction.OPERATIONS_VIEW)

    def prepare(self) -> None:
        """The instance."""
        self.topic = OperationsTopic()

    def missed(self) -> list[News]:
        """The whole page's parts."""
        return [News(json.dumps({"type": "operations", "parts": operations_parts()}))]


class NoticeSocket(LiveSocket):
    """The ends of one's own jobs, on every page; `?since=` the last one that was told."""

    access: ClassVar[Access] = SIGNED_IN

    def prepare(self) -> None:
        """The person."""
        self.topic = PersonTopic(self.admission.user)

    def missed(self) -> list[News]:
        """Jobs that ended while the page was not connected."""
        try:
            since: datetime | None = parse_datetime(self._asked("since"))
        except ValueError:
            since = None
        if since is None or since.tzinfo is None:
            return []
        return [
            News(end_message(job)) for job in reversed(overviews.ended_since(user=self.admission.user, since=since))
        ]
