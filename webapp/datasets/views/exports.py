"""Exports: asked for, watched, fetched."""

import uuid

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST, require_safe
from pydantic import ValidationError

from meds3core.config.data_jobs import ExportSpec
from meds3core.config.references import Registered
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.downloads import content_download, file_download
from webapp.datasets import selectors
from webapp.datasets.exports import (
    ACTIONS,
    TYPES,
    Export,
    export_for,
    export_submit,
    exported_of,
    file_name,
    is_small,
    name_of,
)
from webapp.datasets.forms import ExportForm
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import State
from webapp.jobs.transitions import ENDED, JobError


@team_page(Action.DATASET_VIEW)
@require_POST
def version_export(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponseBase:
    """A version as a file: at once where it is small, else by a job."""
    version = selectors.version_for(team=team, version_id=version_id, ready=True)
    form = ExportForm(request.POST)
    if not form.is_valid():
        raise BadRequest("no such form of an export")
    chosen = form.settings
    if is_small(version):
        lines = exported_of(
            actor=actor_of(request), version=version, form="jsonl" if chosen["format"] == "jsonl" else chosen["form"]
        )
        name = file_name(version, chosen["format"])
        return content_download("".join(lines), name=name, content_type=TYPES[chosen["format"]])
    spec = ExportSpec.model_validate(chosen | {"what": Registered(kind="dataset", id=version.pk)})
    return _submitted(request, team, spec)


@team_page(Action.JOB_SUBMIT)
@require_POST
def export_new(request: HttpRequest, team: Team) -> HttpResponse:
    """Anything that can be exported: fields `kind`, `id`, `format` and `form`, as in `ExportSpec`."""
    given = request.POST
    try:
        spec = ExportSpec.model_validate(
            {
                "what": {"kind": given.get("kind", ""), "id": given.get("id", "")},
                "format": given.get("format", "jsonl"),
                "form": given.get("form", "exact"),
            }
        )
    except ValidationError:
        raise BadRequest("this cannot be exported") from None
    return _submitted(request, team, spec)


@team_page(Action.JOB_VIEW)
@require_GET
def export_page(request: HttpRequest, team: Team, export_id: uuid.UUID) -> HttpResponse:
    """How an export stands, and the button that fetches it."""
    export = _readable(request, team, export_id)
    job = export.job
    context = {
        "team": team,
        "export": export,
        "job": job,
        "name": name_of(export.what),
        "result": job.result or {},
        "is_over": job.state in ENDED,
        "is_done": job.state == State.SUCCEEDED,
        "path": export.path,
    }
    return render(request, "datasets/parts/export.html" if request.htmx else "datasets/export.html", context)


@team_page(Action.JOB_VIEW)
@require_safe
def export_file(request: HttpRequest, team: Team, export_id: uuid.UUID) -> HttpResponseBase:
    """The file; to the export's page, which says why, when there is none."""
    export = _readable(request, team, export_id)
    path = export.path
    if path is None:
        return redirect("export", team.slug, export.job.pk)
    return file_download(request, path, name=export.name, content_type=TYPES[export.spec.format])


def _readable(request: HttpRequest, team: Team, export_id: uuid.UUID) -> Export:
    export = export_for(team=team, export_id=export_id)
    if not may(request.membership.role, export.action):
        raise PermissionDenied(f"This holds {export.what.kind}, which your role does not see. Ask an owner.")
    return export


def _submitted(request: HttpRequest, team: Team, spec: ExportSpec) -> HttpResponse:
    role = request.membership.role
    assert isinstance(spec.what, Registered)
    if not (may(role, Action.JOB_SUBMIT) and may(role, ACTIONS[spec.what.kind])):
        raise PermissionDenied("It is too large to be fetched at once, and your role submits no jobs. Ask a manager.")
    try:
        job = export_submit(actor=actor_of(request), team=team, spec=spec)
    except JobError as error:
        raise Http404(str(error)) from None
    except QueueUnreachable as error:
        messages.warning(request, str(error))
        return redirect("job-list", team.slug)
    return redirect("export", team.slug, job.pk)
