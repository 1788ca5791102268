"""Reads of uploads."""

from pathlib import Path
from uuid import UUID

from django.db.models import F, QuerySet, Sum
from django.http import Http404
from django.utils import timezone

from webapp.accounts.models import Team, User
from webapp.common.files import Store, folder_of
from webapp.jobs.models import JobInput, State
from webapp.jobs.transitions import ENDED
from webapp.uploads.models import Upload, UploadFile


def upload_usable(team: Team, upload_id: UUID) -> bool:
    """Whether a job of the team may read this upload: its own, and complete."""
    return Upload.objects.filter(pk=upload_id, team=team, state=Upload.State.COMPLETE).exists()


def uploads_of(*, team: Team) -> QuerySet[Upload]:
    """A team's uploads that are still there, newest first."""
    return Upload.objects.filter(team=team).select_related("created_by").prefetch_related("files").order_by("-id")


def upload_of(*, team: Team, upload_id: UUID) -> Upload:
    """One of them. Raises `Http404`."""
    found = Upload.objects.filter(team=team, pk=upload_id).select_related("team").first()
    if found is None:
        raise Http404("There is no such upload; it may have been discarded.")
    return found


def file_of(*, team: Team, file_id: UUID) -> UploadFile:
    """A file of one of them. Raises `Http404`."""
    found = UploadFile.objects.filter(upload__team=team, pk=file_id).select_related("upload").first()
    if found is None:
        raise Http404("There is no such file; its upload may have been discarded.")
    return found


def open_uploads(*, team: Team) -> QuerySet[Upload]:
    """Those to which bytes are still to be sent."""
    return uploads_of(team=team).filter(state=Upload.State.RECEIVING)


def unfinished_of(*, team: Team, user: User, purpose: str, size: int = 20) -> list[Upload]:
    """What this person began for a purpose and did not finish: bytes to send, or an import to ask for."""
    done = JobInput.objects.filter(kind="upload", job__team=team, job__kind="import", job__state=State.SUCCEEDED)
    rows = uploads_of(team=team).filter(created_by=user, purpose=purpose, expires__gt=timezone.now())
    return list(rows.exclude(pk__in=done.values("thing"))[:size])


def bytes_announced() -> int:
    """Bytes that are still to come, of all teams."""
    waiting = UploadFile.objects.filter(upload__state=Upload.State.RECEIVING, upload__expires__gt=timezone.now())
    return int(waiting.aggregate(bytes=Sum(F("size") - F("received")))["bytes"] or 0)


def is_in_use(*, upload_id: UUID) -> bool:
    """Whether a job that has not ended reads it."""
    return JobInput.objects.filter(kind="upload", thing=upload_id).exclude(job__state__in=ENDED).exists()


def uploads_expired(*, size: int = 50) -> list[Upload]:
    """Those that nobody came back for."""
    return list(Upload.objects.filter(expires__lt=timezone.now()).order_by("expires")[:size])


def file_path(file: UploadFile) -> Path:
    """Where its bytes lie."""
    return folder_of(Store.UPLOADS, file.upload_id) / str(file.pk)
