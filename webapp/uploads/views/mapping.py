"""The page of one upload: a look at the file, what its columns mean, the import and how far it is."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import actor_of, team_page
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import ENDED
from webapp.uploads import importing, selectors
from webapp.uploads.forms import MappingForm
from webapp.uploads.models import Upload
from webapp.uploads.names import stem_of


@team_page(Action.DATASET_CHANGE)
@never_cache
def upload_page(request: HttpRequest, team: Team, upload_id: uuid.UUID) -> HttpResponse:
    """What was sent and what becomes of it; POST starts the import. For htmx: the part that changes."""
    upload = selectors.upload_of(team=team, upload_id=upload_id)
    if request.method == "POST":
        return _import(request, team, upload)
    return _shown(request, team, upload)


@team_page(Action.DATASET_CHANGE)
@never_cache
def upload_preview(request: HttpRequest, team: Team, upload_id: uuid.UUID) -> HttpResponse:
    """POST: look at the file again, with these columns. GET: what was seen, as soon as it is."""
    upload = selectors.upload_of(team=team, upload_id=upload_id)
    if request.method != "POST":
        return render(request, "uploads/parts/preview.html", _seen(team, upload))
    if upload.preview is None:
        problem = _ask(request, upload)
        return _shown(request, team, upload, problem=problem)
    form = _form(request, team, upload, request.POST)
    problem = ""
    if form.is_valid():
        problem = _ask(request, upload, mapping=form.mapping, source=form.cleaned_data["source"].strip())
    else:
        problem = " ".join(
            f"{form.fields[field].label}: {error}" for field, errors in form.errors.items() for error in errors
        )
    return render(request, "uploads/parts/preview.html", _seen(team, upload) | {"problem": problem})


def _ask(request: HttpRequest, upload: Upload, **how: Any) -> str:
    """Ask for a look; what stands against it, in words."""
    try:
        importing.preview_request(actor=actor_of(request), upload=upload, **how)
    except QueueUnreachable:
        return ""  # it is stored, and starts when the queue answers again
    except UserError as error:
        return str(error)
    return ""


def _import(request: HttpRequest, team: Team, upload: Upload) -> HttpResponse:
    if upload.preview is None:
        return redirect("upload", team_slug=team.slug, upload_id=upload.pk)
    form = _form(request, team, upload, request.POST)
    if not form.is_valid():
        return _shown(request, team, upload, form=form, status=400)
    try:
        importing.import_submit(
            actor=actor_of(request),
            upload=upload,
            into=form.target,
            name=form.cleaned_data["name"],
            mapping=form.mapping,
            source=form.cleaned_data["source"].strip(),
        )
    except QueueUnreachable:
        pass
    except UserError as error:
        form.add_error(None, str(error))
        return _shown(request, team, upload, form=form, status=400)
    return redirect("upload", team_slug=team.slug, upload_id=upload.pk)


def _shown(
    request: HttpRequest,
    team: Team,
    upload: Upload,
    *,
    form: MappingForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    job = importing.import_of(upload_id=upload.pk)
    into = request.GET.get("into", "")
    context = _seen(team, upload) | {
        "file": upload.files.get() if upload.purpose == Upload.Purpose.DATASET else None,
        "import_job": job,
        "importing": job is not None and job.state not in ENDED,
        "version": importing.version_made(job) if job and job.state == State.SUCCEEDED else None,
        "form": form or (_form(request, team, upload) if upload.preview is not None else None),
        "into": into,
        "problem": problem,
    }
    if job is not None and job.state == State.FAILED:
        context["failure"] = job.error_message
    page = "uploads/parts/intake.html" if request.htmx else "uploads/upload.html"  # type: ignore[attr-defined]
    return render(request, page, context, status=status)


def _seen(team: Team, upload: Upload) -> dict[str, Any]:
    """The last look at the file and, where one is on its way, how it stands."""
    jobs = importing.previews_of(upload_id=upload.pk)
    latest: Job | None = jobs[0] if jobs else None
    upload.refresh_from_db(fields=["preview"])
    return {
        "team": team,
        "upload": upload,
        "preview": importing.preview_of(upload),
        "asked": latest,
        "looking": latest is not None and latest.state not in ENDED,
        "refused": latest.error_message if latest is not None and latest.state == State.FAILED else "",
    }


def _form(request: HttpRequest, team: Team, upload: Upload, data: Any = None) -> MappingForm:
    preview = importing.preview_of(upload)
    assert preview is not None
    versions = importing.versions_to_follow(team=team)
    wanted = request.GET.get("into", "")
    into = next((str(each.pk) for each in versions if str(each.dataset_id) == wanted), "")
    name = upload.files.get().name
    return MappingForm(data, preview=preview, versions=versions, stem=stem_of(name), into=into)
