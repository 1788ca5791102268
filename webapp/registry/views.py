"""Pages of models: the list, a model, its files, its names, and the import."""

import uuid
from collections.abc import Collection
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import actor_of, team_page
from webapp.common.downloads import archive_download, content_download, file_download
from webapp.common.paging import PAGE_SIZE, Page, page_of
from webapp.jobs.dispatch import QueueUnreachable
from webapp.registry import selectors, services
from webapp.registry.ancestry import ancestry_of
from webapp.registry.cards import base_line, card_text, model_card, step_errors
from webapp.registry.dependants import dependants_of
from webapp.registry.forms import (
    SOURCES,
    AliasForm,
    FolderImportForm,
    HubImportForm,
    ImportForm,
    RenameForm,
    UploadImportForm,
)
from webapp.registry.importing import model_import
from webapp.registry.models import ModelKind, ModelVersion
from webapp.registry.showing import archive_name, offered_aliases, score_tables, shown_rows
from webapp.registry.sources import hub_offered, roots_offered
from webapp.registry.worth import labels_worth


@team_page(Action.MODEL_VIEW)
@require_GET
def model_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's models and those that come with the product: filtered, newest or best first."""
    wanted = _filter(request)
    benchmarks = selectors.benchmarks_of(team=team)
    asked = request.GET.get("benchmark", "")
    benchmark = next((pk for pk, _ in benchmarks if str(pk) == asked), None)
    rows = selectors.models_of(team=team, wanted=wanted)
    best = request.GET.get("sort") == "best" and bool(benchmarks)
    if best:
        benchmark = benchmark or benchmarks[0][0]
        page = _ranked(selectors.best_first(team=team, rows=rows, benchmark=benchmark), request)
    else:
        page = page_of(rows, request.GET)
    here = {name: value for name, value in request.GET.items() if name not in ("before", "after", "page", "kind")}
    context = {
        "team": team,
        "page": page,
        "rows": shown_rows(team=team, models=page.rows, benchmark=benchmark),
        "wanted": wanted,
        "kinds": ModelKind.choices,
        "kept": urlencode(here),
        "benchmarks": benchmarks,
        "benchmark": benchmark,
        "benchmark_name": dict(benchmarks).get(benchmark, "") if benchmark else "",
        "best": best,
        "aliases": selectors.aliases_of(team=team),
        "narrowed": any((wanted.kind, wanted.name, wanted.alias, wanted.form, wanted.origin)),
        "may_change": may(request.membership.role, Action.MODEL_CHANGE),
    }
    return render(request, "registry/list.html", context)


def _filter(request: HttpRequest) -> selectors.ModelFilter:
    def one_of(name: str, words: Collection[str]) -> str:
        value = request.GET.get(name, "")
        return value if value in words else ""

    return selectors.ModelFilter(
        kind=one_of("kind", ModelKind.values),
        name=request.GET.get("name", "")[:200].replace("\0", ""),
        alias=request.GET.get("alias", "")[:40].replace("\0", ""),
        form=one_of("form", ("whole", "adapter")),
        origin=one_of("origin", ("own", "bundled")),
    )


def _ranked(rows: QuerySet[ModelVersion], request: HttpRequest) -> Page:
    """A page of a list that is not in the order of ids."""
    number = request.GET.get("page", "1")
    at = min(int(number), 1000) if number.isdecimal() and len(number) < 6 else 1
    start = (max(at, 1) - 1) * PAGE_SIZE
    found = list(rows[start : start + PAGE_SIZE + 1])
    kept = {name: value for name, value in request.GET.items() if name not in ("before", "after", "page")}
    return Page(
        found[:PAGE_SIZE],
        urlencode(kept | {"page": at - 1}) if at > 1 else "",
        urlencode(kept | {"page": at + 1}) if len(found) > PAGE_SIZE else "",
    )


@team_page(Action.MODEL_VIEW)
@require_GET
def model_page(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponse:
    """One model: scores, where it came from and what came of it, card, files, names."""
    model = selectors.model_of(team=team, model_id=model_id)
    role = request.membership.role
    own = model.team_id == team.pk
    may_change = own and may(role, Action.MODEL_CHANGE)
    maker = model.job if own else None
    evaluations = selectors.model_evaluations(team=team, model=model)
    ancestry = ancestry_of(team=team, model=model)
    context = {
        "team": team,
        "model": model,
        "own": own,
        "card": model_card(model=model, ancestry=ancestry, evaluations=evaluations),
        "files": model.files,
        "maker": maker,
        "ancestry": ancestry,
        "drawing": ancestry.drawing,
        "is_policy": model.kind == ModelKind.POLICY,
        "scores": score_tables(model=model, evaluations=evaluations),
        "errors": [(each, step_errors(each)) for each in evaluations if model.kind != ModelKind.POLICY],
        "worth": labels_worth(team=team, model=model),
        "base_line": base_line(model) if model.is_adapter else "",
        "versions": selectors.other_versions(team=team, model=model),
        "jobs": selectors.jobs_with(team=team, model=model),
        "evaluations": evaluations,
        "aliases": [each.alias for each in model.aliases.order_by("alias")],
        "offered_aliases": offered_aliases(model) if may_change else [],
        "may_change": may_change,
        "may_submit": may(role, Action.JOB_SUBMIT),
        "may_chat": may(role, Action.CHAT_USE),
        "may_run": maker is not None
        and may(role, Action.JOB_SUBMIT)
        and maker.kind not in ("model-import", "evolution"),
        "dependants": dependants_of(model=model) if may_change else None,
        "rename": RenameForm(initial={"name": model.name}) if may_change else None,
    }
    return render(request, "registry/model.html", context)


@team_page(Action.MODEL_VIEW)
@require_GET
def model_card_file(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponseBase:
    """The card as Markdown, to keep beside the weights."""
    model = selectors.model_of(team=team, model_id=model_id)
    text = card_text(team=team, model=model)
    return content_download(text, name=f"{archive_name(model)}.md", content_type="text/markdown; charset=utf-8")


@team_page(Action.MODEL_VIEW)
@require_safe
def model_file(request: HttpRequest, team: Team, model_id: uuid.UUID, file_name: str) -> HttpResponseBase:
    """One of a model's files."""
    model = selectors.model_of(team=team, model_id=model_id)
    path = selectors.model_file(model=model, name=file_name)
    return file_download(request, path, name=path.name)


@team_page(Action.MODEL_VIEW)
@require_safe
def model_archive(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponseBase:
    """All files of a model as one archive."""
    model = selectors.model_of(team=team, model_id=model_id)
    inside = archive_name(model)
    names = [each["name"] for each in model.files]
    folder = selectors.model_folder(model_id=model.pk)
    return archive_download(request, folder, names, name=f"{inside}.tar", inside=inside)


# --- changes -------------------------------------------------------------------------------------------------------


@team_page(Action.MODEL_CHANGE)
@require_POST
def model_alias(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponse:
    """Let a word mean this version, or (with `end`) not any more."""
    model = selectors.model_own(team=team, model_id=model_id)
    form = AliasForm(request.POST)
    if not form.is_valid():
        messages.error(request, "An alias is one word of letters, digits and hyphens.")
        return _back(team, model)
    alias, actor = form.cleaned_data["alias"], actor_of(request)
    if "end" in request.POST:
        services.model_alias_end(actor=actor, model=model, alias=alias)
        messages.success(request, f"{alias} does not mean {model} any more.")
    else:
        services.model_alias_set(actor=actor, model=model, alias=alias)
        messages.success(request, f"{alias} means {model} now.")
    return _back(team, model)


@team_page(Action.MODEL_CHANGE)
@require_POST
def model_rename(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponse:
    """Another name for all versions of this model."""
    model = selectors.model_own(team=team, model_id=model_id)
    form = RenameForm(request.POST)
    if not form.is_valid():
        messages.error(request, "A model needs a name of at most 200 characters.")
        return _back(team, model)
    try:
        services.model_rename(actor=actor_of(request), model=model, name=form.cleaned_data["name"])
        messages.success(request, "Renamed.")
    except services.RegistryError as error:
        messages.error(request, str(error))
    return _back(team, model)


@team_page(Action.MODEL_CHANGE)
@require_POST
def model_delete(request: HttpRequest, team: Team, model_id: uuid.UUID) -> HttpResponse:
    """Remove the model, unless something depends on it."""
    model = selectors.model_own(team=team, model_id=model_id)
    try:
        services.model_delete(actor=actor_of(request), model=model)
    except services.RegistryError as error:
        messages.error(request, str(error))
        return _back(team, model)
    messages.success(request, f"{model} was deleted.")
    return redirect("model-list", team.slug)


def _back(team: Team, model: ModelVersion) -> HttpResponse:
    return redirect("model", team.slug, model.pk)


# --- import --------------------------------------------------------------------------------------------------------


@team_page(Action.MODEL_CHANGE)
@require_http_methods(["GET", "POST"])
def model_import_page(request: HttpRequest, team: Team) -> HttpResponse:
    """Bring a model in: by upload, from a folder that the operator listed, or from the hub where that is allowed."""
    offered = {name: label for name, label in SOURCES.items() if _is_offered(name)}
    source = request.GET.get("from", "upload")
    source = source if source in offered else "upload"
    roots = roots_offered() if source == "folder" else []
    form = _import_form(request, team, source)
    if request.method == "POST" and form.is_valid():
        spec = form.spec()
        if spec is not None:
            try:
                job = model_import(actor=actor_of(request), team=team, spec=spec)
                return redirect("job", team.slug, job.pk)
            except QueueUnreachable as error:
                messages.warning(request, str(error))
                return redirect("job-list", team.slug)
            except UserError as error:
                form.add_error(None, str(error))
    context = {"team": team, "form": form, "source": source, "sources": offered, "roots": roots}
    return render(request, "registry/import.html", context, status=400 if form.errors else 200)


def _is_offered(source: str) -> bool:
    return source == "upload" or (source == "folder" and bool(roots_offered())) or (source == "hub" and hub_offered())


def _import_form(request: HttpRequest, team: Team, source: str) -> ImportForm:
    given = request.POST if request.method == "POST" else None
    bases = selectors.bases_of(team=team)
    if source == "folder":
        return FolderImportForm(given, bases=bases, roots=roots_offered())
    if source == "hub":
        return HubImportForm(given, bases=bases)
    return UploadImportForm(given, bases=bases)
