"""API of uploads: announce files, send each in chunks of at most 8 MiB, complete.

POST   …/uploads                         names and sizes → ids
PUT    …/uploads/files/{file_id}?offset=0   bytes; 409 says where to go on
GET    …/uploads/{upload_id}             how far each file is, to go on after a cut
POST   …/uploads/{upload_id}/complete    until `state` is `complete`
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema, Status

from meds3core.data.preview import FilePreview
from meds3core.data.records import ColumnMapping
from webapp.accounts.api_auth import Caller, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page
from webapp.common.idempotency import idempotent
from webapp.jobs.api import JobOut, job_accepted
from webapp.uploads import importing, selectors, services
from webapp.uploads.models import Upload, UploadFile
from webapp.uploads.services import ACTION_OF, UploadError, WrongOffset

router = Router(tags=["uploads"])


class FileIn(Schema):
    """A file that is about to be sent."""

    name: str = Field(min_length=1, max_length=1024, description="Only its last part is kept, for people to read.")
    size: int = Field(ge=1, description="Bytes.")
    sha256: str = Field(default="", max_length=64, description="Of the whole file, hexadecimal; compared at the end.")
    modified: int | None = Field(default=None, ge=0, le=2**53, description="Time stamp (ms), to know it again.")


class UploadIn(Schema):
    """Files for a purpose: one with questions, those of a model, one with judgements."""

    purpose: Literal["dataset", "model", "judgements"]
    files: list[FileIn] = Field(min_length=1, max_length=200)


class FileOut(Schema):
    """How far a file is."""

    id: UUID
    name: str
    size: int
    received: int = Field(description="Bytes that are here: the offset of the next chunk.")
    modified: int | None

    @staticmethod
    def of(file: UploadFile) -> "FileOut":
        """As the API shows it."""
        return FileOut(id=file.pk, name=file.name, size=file.size, received=file.received, modified=file.modified)


class UploadOut(Schema):
    """An upload and its files."""

    id: UUID
    purpose: str
    state: str = Field(description="`receiving`, or `complete`: jobs may name it.")
    created: datetime
    expires: datetime = Field(description="When it is removed unless something is done with it.")
    files: list[FileOut]

    @staticmethod
    def of(upload: Upload) -> "UploadOut":
        """As the API shows it."""
        files = sorted(upload.files.all(), key=lambda file: file.pk)
        return UploadOut(
            id=upload.pk,
            purpose=upload.purpose,
            state=upload.state,
            created=upload.created,
            expires=upload.expires,
            files=[FileOut.of(file) for file in files],
        )


class PreviewIn(Schema):
    """How to read the file for a look at it."""

    mapping: ColumnMapping | None = Field(default=None, description="None: by the file's own fields, else guessed.")
    source: str = Field(default="", max_length=200, description="Source of rows that name none.")


AS_GUESSED = PreviewIn()


def _may(request: HttpRequest, team_slug: str, purpose: str) -> None:
    """Raise `PermissionDenied` unless the caller may change what the upload is for."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    caller.reach(team_slug, ACTION_OF[purpose])


def _upload(request: HttpRequest, team_slug: str, upload_id: UUID) -> Upload:
    upload = selectors.upload_of(team=request.team, upload_id=upload_id)  # type: ignore[attr-defined]
    _may(request, team_slug, upload.purpose)
    return upload


@router.post("/teams/{team_slug}/uploads", response={201: UploadOut}, operation_id="upload_create")
@team_operation(Action.UPLOAD_SEND)
@idempotent
def upload_create(request: HttpRequest, team_slug: str, body: UploadIn) -> HttpResponse:
    """Announce files. Needs `dataset.change`, `model.change` or `queue.change` as well, by purpose."""
    _may(request, team_slug, body.purpose)
    upload = services.upload_create(
        actor=request.auth.actor,  # type: ignore[attr-defined]
        team=request.team,  # type: ignore[attr-defined]
        purpose=body.purpose,
        files=body.files,
    )
    return answer_made(UploadOut.of(upload), location=f"{request.path}/{upload.pk}")


@router.get("/teams/{team_slug}/uploads", response=ApiPage[UploadOut], operation_id="upload_list")
@team_operation(Action.UPLOAD_SEND)
def upload_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[UploadOut]:
    """The team's uploads that are still there."""
    rows = selectors.uploads_of(team=request.team)  # type: ignore[attr-defined]
    return api_page(request, rows, UploadOut.of, paging)


@router.put(
    "/teams/{team_slug}/uploads/files/{uuid:file_id}",
    response=FileOut,
    operation_id="upload_chunk",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
    },
)
@team_operation(Action.UPLOAD_SEND)
def upload_chunk(
    request: HttpRequest, team_slug: str, file_id: UUID, offset: int = Query(0, ge=0)
) -> FileOut | HttpResponse:
    """Send a part of a file: at most 8 MiB, beginning where the last one ended; 409 with `received` otherwise."""
    from webapp.config.api import problem

    file = selectors.file_of(team=request.team, file_id=file_id)  # type: ignore[attr-defined]
    _may(request, team_slug, file.upload.purpose)
    try:
        # The request is read as a stream: its body is already bounded (webapp.common.bodies), and not in memory.
        return FileOut.of(services.chunk_store(file=file, offset=offset, content=request))  # type: ignore[arg-type]
    except WrongOffset as error:
        return problem(409, "The part begins elsewhere", str(error), error.code, received=error.received)


@router.get("/teams/{team_slug}/uploads/{uuid:upload_id}", response=UploadOut, operation_id="upload_status")
@team_operation(Action.UPLOAD_SEND)
def upload_status(request: HttpRequest, team_slug: str, upload_id: UUID) -> UploadOut:
    """How far each file is."""
    return UploadOut.of(_upload(request, team_slug, upload_id))


@router.post("/teams/{team_slug}/uploads/{uuid:upload_id}/complete", response=UploadOut, operation_id="upload_complete")
@team_operation(Action.UPLOAD_SEND)
def upload_complete(request: HttpRequest, team_slug: str, upload_id: UUID) -> UploadOut:
    """Every byte was sent: digests are compared. Long ones take several calls; call until `state` is `complete`."""
    upload = _upload(request, team_slug, upload_id)
    actor = request.auth.actor  # type: ignore[attr-defined]
    return UploadOut.of(services.upload_complete(actor=actor, upload=upload))


@router.delete("/teams/{team_slug}/uploads/{uuid:upload_id}", response={204: None}, operation_id="upload_discard")
@team_operation(Action.UPLOAD_SEND)
def upload_discard(request: HttpRequest, team_slug: str, upload_id: UUID) -> Status[None]:
    """Remove an upload with its files."""
    upload = _upload(request, team_slug, upload_id)
    services.upload_discard(actor=request.auth.actor, upload=upload)  # type: ignore[attr-defined]
    return Status(204, None)


@router.post("/teams/{team_slug}/uploads/{uuid:upload_id}/preview", response={202: JobOut}, operation_id="preview_ask")
@team_operation(Action.UPLOAD_SEND)
@idempotent
def preview_ask(
    request: HttpRequest,
    team_slug: str,
    upload_id: UUID,
    body: PreviewIn = AS_GUESSED,
) -> HttpResponse:
    """Have a worker look at a complete file of questions; when the job has ended, `GET` here what it saw."""
    upload = _upload(request, team_slug, upload_id)
    actor = request.auth.actor  # type: ignore[attr-defined]
    job = importing.preview_request(actor=actor, upload=upload, mapping=body.mapping, source=body.source)
    return job_accepted(job)


@router.get("/teams/{team_slug}/uploads/{uuid:upload_id}/preview", response=FilePreview, operation_id="preview_seen")
@team_operation(Action.UPLOAD_SEND)
def preview_seen(request: HttpRequest, team_slug: str, upload_id: UUID) -> FilePreview:
    """Format, columns and first rows of a file, as a worker saw them last. Then import it: submit a job `import`."""
    seen = importing.preview_of(_upload(request, team_slug, upload_id))
    if seen is None:
        raise UploadError("Nobody has looked at this file yet. POST here first, and wait for the job.")
    return seen
