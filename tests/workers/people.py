"""Who submits jobs in tests."""

from webapp.accounts.models import Door, Team, User
from webapp.accounts.services import Actor, system_team, team_create
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit

SPEC = {"kind": "self-check"}


def operator() -> Actor:
    user, _ = User.objects.get_or_create(username="olga", defaults={"is_operator": True})
    return Actor(user, Door.PAGE)


def team(name: str) -> Team:
    actor = operator()
    return team_create(actor=actor, name=name, owner=actor.user)


def submitted(*, of: Team | None = None, **others) -> Job:
    return job_submit(actor=operator(), team=of or system_team(), spec=SPEC, **others)
