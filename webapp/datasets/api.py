"""API of datasets, versions, questions, curricula and exports."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from ninja import Query, Router, Status
from pydantic import ValidationError

from meds3core.config.data_jobs import CurriculumSpec, DatasetCheckSpec, ExportSpec
from meds3core.config.references import Registered
from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import ApiPage, Paging, Reading, answer_made, api_page
from webapp.common.downloads import file_download
from webapp.common.idempotency import idempotent
from webapp.datasets import selectors
from webapp.datasets.api_schemas import (
    CheckIn,
    CurriculumIn,
    DatasetIn,
    DatasetOut,
    DependentsOut,
    ExportIn,
    ExportOut,
    PreviewIn,
    PreviewOut,
    QuestionOut,
    SearchIn,
    SearchOut,
    VersionOut,
    VersionWhole,
    Wanted,
)
from webapp.datasets.curricula import curriculum_preview, curriculum_submit
from webapp.datasets.deletion import dataset_delete, dependents_of, version_delete
from webapp.datasets.exports import TYPES, Export, export_for, export_submit
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import DatasetError, dataset_change, dataset_create
from webapp.jobs.api import job_accepted
from webapp.jobs.api_schemas import JobOut
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError

router = Router(tags=["datasets"])

DATASETS = "/teams/{team_slug}/datasets"
VERSIONS = "/teams/{team_slug}/dataset-versions/{version_id}"
EXPORTS = "/teams/{team_slug}/exports"


# --- datasets ------------------------------------------------------------------------------------------------------


@router.get(DATASETS, response=ApiPage[DatasetOut], operation_id="dataset_list")
@team_operation(Action.DATASET_VIEW)
def dataset_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[DatasetOut]:
    """The team's datasets and the bundled ones, newest first."""
    return api_page(request, selectors.datasets_of(team=team_of_call(request)), DatasetOut.of, paging)


@router.post(DATASETS, response={201: DatasetOut}, operation_id="dataset_create")
@team_operation(Action.DATASET_CHANGE)
@idempotent
def dataset_make(request: HttpRequest, team_slug: str, body: DatasetIn) -> HttpResponse:
    """A dataset without versions; an import or a curriculum fills it."""
    made = dataset_create(
        actor=actor_of_call(request), team=team_of_call(request), name=body.name, description=body.description
    )
    return answer_made(DatasetOut.of(made), location=f"{request.path}/{made.pk}")


@router.get(DATASETS + "/{dataset_id}", response=DatasetOut, operation_id="dataset_show")
@team_operation(Action.DATASET_VIEW)
def dataset_show(request: HttpRequest, team_slug: str, dataset_id: UUID) -> DatasetOut:
    """One dataset."""
    return DatasetOut.of(selectors.dataset_for(team=team_of_call(request), dataset_id=dataset_id))


@router.patch(DATASETS + "/{dataset_id}", response=DatasetOut, operation_id="dataset_change")
@team_operation(Action.DATASET_CHANGE)
def dataset_edit(request: HttpRequest, team_slug: str, dataset_id: UUID, body: DatasetIn) -> DatasetOut:
    """Another name and description."""
    dataset = selectors.dataset_for(team=team_of_call(request), dataset_id=dataset_id, own=True)
    changed = dataset_change(
        actor=actor_of_call(request), dataset=dataset, name=body.name, description=body.description
    )
    return DatasetOut.of(changed)


@router.get(DATASETS + "/{dataset_id}/dependents", response=DependentsOut, operation_id="dataset_dependents")
@team_operation(Action.DATASET_VIEW)
def dataset_dependents(request: HttpRequest, team_slug: str, dataset_id: UUID) -> DependentsOut:
    """What depends on it; to be looked at before it is deleted."""
    dataset = selectors.dataset_for(team=team_of_call(request), dataset_id=dataset_id)
    versions = list(selectors.versions_of(team=team_of_call(request)).filter(dataset=dataset))
    return DependentsOut.of(dependents_of(versions=versions))


@router.delete(DATASETS + "/{dataset_id}", response={204: None}, operation_id="dataset_delete")
@team_operation(Action.DATASET_CHANGE)
def dataset_remove(request: HttpRequest, team_slug: str, dataset_id: UUID, confirm: bool = False) -> Status[None]:
    """Delete it with all versions. Where something depends on it only with `confirm=true`."""
    dataset = selectors.dataset_for(team=team_of_call(request), dataset_id=dataset_id, own=True)
    versions = list(selectors.versions_of(team=team_of_call(request)).filter(dataset=dataset))
    _confirmed(versions, confirm)
    dataset_delete(actor=actor_of_call(request), dataset=dataset)
    return Status(204, None)


@router.get(DATASETS + "/{dataset_id}/versions", response=ApiPage[VersionOut], operation_id="dataset_versions")
@team_operation(Action.DATASET_VIEW)
def version_list(request: HttpRequest, team_slug: str, dataset_id: UUID, paging: Query[Paging]) -> ApiPage[VersionOut]:
    """The versions of a dataset, newest first."""
    dataset = selectors.dataset_for(team=team_of_call(request), dataset_id=dataset_id)
    rows = selectors.versions_of(team=team_of_call(request)).filter(dataset=dataset).defer("statistics", "recipe")
    return api_page(request, rows, VersionOut.of, paging)


# --- versions ------------------------------------------------------------------------------------------------------


@router.get(VERSIONS, response=VersionWhole, operation_id="version_show")
@team_operation(Action.DATASET_VIEW)
def version_show(request: HttpRequest, team_slug: str, version_id: UUID) -> VersionWhole:
    """One version with its statistics."""
    return VersionWhole.of(selectors.version_for(team=team_of_call(request), version_id=version_id))


@router.get(VERSIONS + "/dependents", response=DependentsOut, operation_id="version_dependents")
@team_operation(Action.DATASET_VIEW)
def version_dependents(request: HttpRequest, team_slug: str, version_id: UUID) -> DependentsOut:
    """What depends on it; to be looked at before it is deleted."""
    return DependentsOut.of(dependents_of(versions=[_version(request, version_id)]))


@router.delete(VERSIONS, response={204: None}, operation_id="version_delete")
@team_operation(Action.DATASET_CHANGE)
def version_remove(request: HttpRequest, team_slug: str, version_id: UUID, confirm: bool = False) -> Status[None]:
    """Delete it. Where something depends on it only with `confirm=true`."""
    version = selectors.version_for(team=team_of_call(request), version_id=version_id, own=True)
    _confirmed([version], confirm)
    version_delete(actor=actor_of_call(request), version=version)
    return Status(204, None)


@router.get(VERSIONS + "/questions", response=ApiPage[QuestionOut], operation_id="question_list")
@team_operation(Action.DATASET_VIEW)
def question_list(
    request: HttpRequest, team_slug: str, version_id: UUID, paging: Query[Reading], wanted: Query[Wanted]
) -> ApiPage[QuestionOut]:
    """The questions in their order; `after` is a position."""
    version = _version(request, version_id)
    rows = selectors.questions_matching(version=version, wanted=wanted.filter())
    return api_page(request, rows, QuestionOut.of, paging, key="position")


@router.post(VERSIONS + "/questions/search", response=SearchOut, operation_id="question_search")
@team_operation(Action.DATASET_VIEW)
def question_search(request: HttpRequest, team_slug: str, version_id: UUID, body: SearchIn) -> SearchOut:
    """Questions with this part in their text."""
    version = _version(request, version_id)
    page = selectors.questions_page(version=version, wanted=body.filter(body.text), after=body.after, size=body.limit)
    return SearchOut.of(page)


@router.get(VERSIONS + "/questions/{position}", response=QuestionOut, operation_id="question_show")
@team_operation(Action.DATASET_VIEW)
def question_show(request: HttpRequest, team_slug: str, version_id: UUID, position: int) -> QuestionOut:
    """One question."""
    return QuestionOut.of(selectors.question_at(version=_version(request, version_id), position=position))


@router.post(VERSIONS + "/checks", response={202: JobOut}, operation_id="version_check")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def version_check(request: HttpRequest, team_slug: str, version_id: UUID, body: CheckIn) -> HttpResponse:
    """Look for questions that are much alike and count tokens; the version's statistics have it afterwards."""
    version = selectors.version_for(team=team_of_call(request), version_id=version_id, own=True, ready=True)
    spec = DatasetCheckSpec(
        questions=_ref(version.pk),
        against=tuple(_ref(each) for each in body.against),
        overlap=body.overlap,
        model=Registered(kind="model", id=body.model) if body.model else None,
    )
    title = f"Check of {version}"[:200]
    return job_accepted(job_submit(actor=actor_of_call(request), team=team_of_call(request), spec=spec, title=title))


@router.post(VERSIONS + "/curriculum/preview", response=PreviewOut, operation_id="curriculum_preview")
@team_operation(Action.DATASET_VIEW)
def preview(request: HttpRequest, team_slug: str, version_id: UUID, body: PreviewIn) -> PreviewOut:
    """How many questions of each group and band the settings would choose."""
    version = _version(request, version_id)
    held_out = tuple(_ref(_version(request, each).pk) for each in body.held_out)
    spec = CurriculumSpec(questions=(_ref(version.pk),), settings=body.settings, held_out=held_out)
    found = curriculum_preview(version=version, spec=spec)
    return PreviewOut(plan=found.plan, candidates=found.candidates, solved=found.solved, held_out=found.held_out)


@router.post(VERSIONS + "/curriculum", response={202: JobOut}, operation_id="curriculum_make")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def curriculum_make(request: HttpRequest, team_slug: str, version_id: UUID, body: CurriculumIn) -> HttpResponse:
    """Choose questions into a new version, by a job whose result names it."""
    version = _version(request, version_id)
    spec = CurriculumSpec(
        questions=(_ref(version.pk), *(_ref(each) for each in body.also)),
        settings=body.settings,
        held_out=tuple(_ref(each) for each in body.held_out),
        overlap=body.overlap,
        drop_duplicates=body.drop_duplicates,
        name=" ".join(body.name.split()),
    )
    return job_accepted(
        curriculum_submit(actor=actor_of_call(request), team=team_of_call(request), version=version, spec=spec)
    )


# --- exports -------------------------------------------------------------------------------------------------------


@router.post(EXPORTS, response={202: JobOut}, operation_id="export_make")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def export_make(request: HttpRequest, team_slug: str, body: ExportIn) -> HttpResponse:
    """Have a dataset's version, trees, labels or an evaluation written to a file."""
    try:
        spec = ExportSpec.model_validate(body.model_dump())
    except ValidationError as error:
        raise DatasetError("; ".join(str(each["msg"]) for each in error.errors())) from None
    return job_accepted(export_submit(actor=actor_of_call(request), team=team_of_call(request), spec=spec))


@router.get(EXPORTS + "/{export_id}", response=ExportOut, operation_id="export_show")
@team_operation(Action.JOB_VIEW)
def export_show(request: HttpRequest, team_slug: str, export_id: UUID) -> ExportOut:
    """How an export stands."""
    export = _export(request, team_slug, export_id)
    place = reverse("api-1:export_file", kwargs={"team_slug": team_slug, "export_id": export_id})
    return ExportOut.of(export, place)


@router.get(EXPORTS + "/{export_id}/file", operation_id="export_file", url_name="export_file")
@team_operation(Action.JOB_VIEW)
def export_file(request: HttpRequest, team_slug: str, export_id: UUID) -> HttpResponseBase:
    """The file; takes `Range`."""
    export = _export(request, team_slug, export_id)
    path = export.path
    if path is None:
        raise JobError("This export is not done, or its file has expired. Export it again.")
    return file_download(request, path, name=export.name, content_type=TYPES[export.spec.format])


def _export(request: HttpRequest, team_slug: str, export_id: UUID) -> Export:
    """An export whose content the caller may see."""
    export = export_for(team=team_of_call(request), export_id=export_id)
    try:
        request.auth.reach(team_slug, export.action)  # type: ignore[attr-defined]
    except PermissionDenied:
        raise PermissionDenied(f"Fetching it needs {export.action.value}.") from None
    return export


def _confirmed(versions: list[DatasetVersion], confirm: bool) -> None:
    if not confirm and not dependents_of(versions=versions).is_empty:
        raise DatasetError("Something depends on it: see its dependents, then delete with confirm=true.")


def _version(request: HttpRequest, version_id: UUID) -> DatasetVersion:
    return selectors.version_for(team=team_of_call(request), version_id=version_id, ready=True)


def _ref(key: Any) -> Registered:
    return Registered(kind="dataset", id=key)
