"""The page that sends files: drag and drop, progress, going on after a cut."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.datasets.selectors import datasets_of
from webapp.uploads import selectors, services
from webapp.uploads.models import Upload


@team_page(Action.DATASET_CHANGE)
@require_GET
def upload_new(request: HttpRequest, team: Team) -> HttpResponse:
    """Send files of questions. `?dataset=` names the dataset that gets a new version."""
    dataset = None
    try:
        wanted = uuid.UUID(request.GET.get("dataset", ""))
    except ValueError:
        pass
    else:
        dataset = datasets_of(team=team).filter(team=team, pk=wanted).first()
    begun = selectors.unfinished_of(team=team, user=request.user, purpose=Upload.Purpose.DATASET)  # type: ignore[arg-type]
    context = {
        "team": team,
        "dataset": dataset,
        "begun": [(upload, upload.files.all()[0]) for upload in begun],
        "limit": settings.UPLOAD_BYTES,
        "chunk": settings.UPLOAD_CHUNK_BYTES // 2,
        "hours": settings.UPLOAD_HOURS,
    }
    return render(request, "uploads/new.html", context)


@team_page(Action.DATASET_CHANGE)
@require_POST
def upload_discard(request: HttpRequest, team: Team, upload_id: uuid.UUID) -> HttpResponse:
    """Remove an upload with its file."""
    upload = selectors.upload_of(team=team, upload_id=upload_id)
    try:
        services.upload_discard(actor=actor_of(request), upload=upload)
    except services.UploadError as error:
        messages.error(request, str(error))
    return redirect("upload-new", team_slug=team.slug)
