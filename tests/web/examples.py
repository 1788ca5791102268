"""One example for each kind of object that has a URL, for the walk of tests/web/test_walls.py.

By the parameter's name in the URL: a function that makes such an object in a team and gives its id. An app with a new
kind of object adds one line; a URL whose parameter is missing here fails the walk.
"""

from collections.abc import Callable
from typing import Any

from tests.web.people import person, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.links import invitation_create
from webapp.accounts.models import ApiToken, Membership, Team
from webapp.accounts.rules import Role
from webapp.accounts.selectors import user_by_name
from webapp.accounts.services import membership_set
from webapp.uploads.models import UploadFile
from webapp.uploads.services import AnnouncedFile, upload_create
from webapp.jobs.claims import worker_register
from webapp.jobs.services import job_submit


def _owner(team: Team):
    return Membership.objects.select_related("user").filter(team=team, role=Role.OWNER).earliest("created").user


def _membership(team: Team) -> Any:
    name = f"guest-of-{team.slug}"
    guest = user_by_name(username=name) or person(name)
    return membership_set(actor=Actor(_owner(team)), team=team, user=guest, role=Role.VIEWER).pk


def _invitation(team: Team) -> Any:
    return invitation_create(actor=Actor(_owner(team)), team=team, role=Role.VIEWER)[0].pk


def _token(team: Team) -> Any:
    token(_owner(team), team, Role.OWNER)
    return ApiToken.objects.filter(team=team).latest("created").pk


def _job(team: Team) -> Any:
    return job_submit(actor=SYSTEM, team=team, spec={"kind": "self-check"}).pk


def _worker(team: Team) -> Any:
    return worker_register(name="cpu-of-the-walk", queue="cpu").pk


def _upload(team: Team) -> Any:
    announced = [AnnouncedFile("questions.csv", 30)]
    return upload_create(actor=Actor(_owner(team)), team=team, purpose="dataset", files=announced).pk


def _upload_file(team: Team) -> Any:
    return UploadFile.objects.get(upload=_upload(team)).pk


EXAMPLES: dict[str, Callable[[Team], Any]] = {
    "membership_id": _membership,
    "invitation_id": _invitation,
    "token_id": _token,
    "upload_id": _upload,
    "file_id": _upload_file,
    "job_id": _job,
    "worker_id": _worker,
    "slug": lambda team: team.slug,
    "attempt": lambda team: 1,
    "ask": lambda team: "pause",
}

BODIES: dict[str, Callable[[Team], Any]] = {}
"""Operations of the API that need a body to come as far as their object: by `METHOD route`, a body that fits."""

OWN_ONLY = {"token_id"}
"""Objects that their owner alone sees, whatever the role: for others the answer is 404."""
