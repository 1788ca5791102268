"""Pages of a team's datasets and of one version: what is in it, what uses it, deletion."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of
from webapp.datasets import selectors
from webapp.datasets.deletion import dataset_delete, dependents_of, version_delete
from webapp.datasets.exports import exports_of
from webapp.datasets.forms import CheckForm, DatasetForm, DeletionForm, ExportForm
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import DatasetError, dataset_change
from webapp.datasets.statistics import BANDS, statistics_of
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError


@team_page(Action.DATASET_VIEW)
@require_http_methods(["GET", "POST"])
def dataset_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's datasets, newest first. Names are looked for by POST: they stay out of every log."""
    name = request.POST.get("name", "").strip()[:200]
    rows = selectors.datasets_of(team=team)
    page = page_of(rows.filter(name__icontains=name) if name else rows, request.GET)
    versions = selectors.newest_versions(datasets=page.rows)
    is_first = not {"before", "after"} & set(request.GET)
    context = {
        "team": team,
        "page": page,
        "name": name,
        "is_first": is_first,
        "invites": is_first and not name and not any(each.team_id == team.pk for each in page.rows),
        "rows": [
            {
                "dataset": each,
                "newest": next((one for one in versions[each.pk] if one.ready), None),
                "unfinished": any(not one.ready for one in versions[each.pk]),
                "count": len(versions[each.pk]),
            }
            for each in page.rows
        ],
        "may_change": may(request.membership.role, Action.DATASET_CHANGE),
    }
    is_part = bool(request.htmx)
    return render(request, "datasets/parts/list.html" if is_part else "datasets/list.html", context)


@team_page(Action.DATASET_VIEW)
@require_GET
def dataset_page(request: HttpRequest, team: Team, dataset_id: uuid.UUID) -> HttpResponse:
    """One dataset: its versions, and the jobs that use them."""
    dataset = selectors.dataset_for(team=team, dataset_id=dataset_id)
    return _dataset_page(request, team, dataset, DatasetForm(initial=_initial(dataset)))


@team_page(Action.DATASET_CHANGE)
@require_POST
def dataset_edit(request: HttpRequest, team: Team, dataset_id: uuid.UUID) -> HttpResponse:
    """Another name or description."""
    dataset = selectors.dataset_for(team=team, dataset_id=dataset_id, own=True)
    form = DatasetForm(request.POST)
    if form.is_valid():
        try:
            dataset_change(actor=actor_of(request), dataset=dataset, **form.cleaned_data)
        except DatasetError as error:
            form.add_error("name", str(error))
            dataset = selectors.dataset_for(team=team, dataset_id=dataset_id, own=True)
        else:
            messages.success(request, "Saved.")
            return redirect("dataset", team.slug, dataset.pk)
    return _dataset_page(request, team, dataset, form, status=400)


def _initial(dataset: Any) -> dict[str, str]:
    return {"name": dataset.name, "description": dataset.description}


def _dataset_page(request: HttpRequest, team: Team, dataset: Any, form: DatasetForm, status: int = 200) -> HttpResponse:
    versions = list(selectors.versions_of(team=team).filter(dataset=dataset).order_by("-number").defer("statistics"))
    context = {
        "team": team,
        "dataset": dataset,
        "versions": versions,
        "jobs": selectors.jobs_using(team=team, versions=versions),
        "form": form,
        "may_change": dataset.team_id == team.pk and may(request.membership.role, Action.DATASET_CHANGE),
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "newest": next((each for each in versions if each.ready), None),
    }
    return render(request, "datasets/dataset.html", context, status=status)


# --- versions ------------------------------------------------------------------------------------------------------


@team_page(Action.DATASET_VIEW)
@require_GET
def version_page(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """What a version is made of."""
    version = selectors.version_for(team=team, version_id=version_id)
    return _version_page(request, team, version)


@team_page(Action.JOB_SUBMIT)
@require_POST
def version_check(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """Have a version looked through: near-duplicates, overlap, tokens."""
    version = selectors.version_for(team=team, version_id=version_id, own=True, ready=True)
    form = CheckForm(request.POST, others=_others(team, version))
    if not form.is_valid():
        return _version_page(request, team, version, check_form=form, status=400)
    try:
        job = job_submit(actor=actor_of(request), team=team, spec=form.spec(version), title=f"Check of {version}"[:200])
    except JobError as error:
        messages.error(request, str(error))
        return redirect("dataset-version", team.slug, version.pk)
    except QueueUnreachable as error:
        messages.warning(request, str(error))
        return redirect("dataset-version", team.slug, version.pk)
    return redirect("job", team.slug, job.pk)


def _others(team: Team, version: DatasetVersion) -> list[tuple[str, str]]:
    return [each for each in selectors.versions_to_choose(team=team, size=100) if each[0] != str(version.pk)]


def _version_page(
    request: HttpRequest, team: Team, version: DatasetVersion, *, check_form: CheckForm | None = None, status: int = 200
) -> HttpResponse:
    found = statistics_of(version)
    role = request.membership.role
    own = version.team_id == team.pk
    may_submit = may(role, Action.JOB_SUBMIT)
    context = {
        "team": team,
        "version": version,
        "version_label": f"v{version.number}",
        "dataset": version.dataset,
        "statistics": found,
        "tables": [
            ("Sources", "source", found.sources),
            ("Domains", "domain", found.domains),
            ("Kinds of answers", "kind", found.answer_kinds),
            ("Difficulty", "difficulty", {name: found.difficulties.get(name, 0) for name in BANDS}),
        ],
        "lengths": [
            (name, values)
            for name, values in (
                ("Characters", found.characters),
                ("Words", found.words),
                (f"Tokens of {found.tokenizer}", found.tokens),
            )
            if values
        ],
        "jobs": selectors.jobs_using(team=team, versions=[version]),
        "children": selectors.children_of(team=team, version=version),
        "exports": exports_of(team=team, kind="dataset", thing=version.pk, size=5),
        "export_form": ExportForm(),
        "may_change": own and may(role, Action.DATASET_CHANGE),
        "may_submit": may_submit,
        "check_form": (check_form or CheckForm(others=_others(team, version))) if own and may_submit else None,
    }
    return render(request, "datasets/version.html", context, status=status)


# --- deletion ------------------------------------------------------------------------------------------------------


@team_page(Action.DATASET_CHANGE)
@require_http_methods(["GET", "POST"])
def dataset_remove(request: HttpRequest, team: Team, dataset_id: uuid.UUID) -> HttpResponse:
    """What depends on a dataset, and the button that deletes it."""
    dataset = selectors.dataset_for(team=team, dataset_id=dataset_id, own=True)
    versions = list(selectors.versions_of(team=team).filter(dataset=dataset).order_by("-number").defer("statistics"))

    def delete() -> None:
        dataset_delete(actor=actor_of(request), dataset=dataset)

    return _removal(request, team, dataset, versions, delete, ("dataset-list", team.slug), None)


@team_page(Action.DATASET_CHANGE)
@require_http_methods(["GET", "POST"])
def version_remove(request: HttpRequest, team: Team, version_id: uuid.UUID) -> HttpResponse:
    """What depends on a version, and the button that deletes it."""
    version = selectors.version_for(team=team, version_id=version_id, own=True)

    def delete() -> None:
        version_delete(actor=actor_of(request), version=version)

    back = ("dataset", team.slug, version.dataset_id)
    return _removal(request, team, version.dataset, [version], delete, back, version)


def _removal(
    request: HttpRequest,
    team: Team,
    dataset: Any,
    versions: list[DatasetVersion],
    delete: Any,
    back: tuple[Any, ...],
    version: DatasetVersion | None,
) -> HttpResponse:
    form = DeletionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            delete()
        except DatasetError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{version or dataset} was deleted. Its rows are removed in the background.")
            return redirect(*back)
    context = {
        "team": team,
        "dataset": dataset,
        "version": version,
        "thing": version or dataset,
        "questions": sum(each.questions for each in versions),
        "versions": versions,
        "dependents": dependents_of(versions=versions),
        "form": form,
    }
    return render(request, "datasets/delete.html", context, status=400 if form.errors else 200)
