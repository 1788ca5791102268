"""API of what comes of judgements: figures of agreement, label sets, files brought in, a reward model trained again."""

from typing import Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from meds3core.config.labels import JudgementLabelConfig
from meds3core.judgements.agreement import AgreementFigures
from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.annotation import selectors
from webapp.annotation.agreement import agreement_of
from webapp.annotation.imports import import_submit
from webapp.annotation.labelsets import labels_preview, labels_submit
from webapp.common.idempotency import idempotent
from webapp.jobs.api import job_accepted
from webapp.jobs.api_schemas import JobOut
from webapp.registry.labels import label_set_of
from webapp.registry.selectors import model_own
from webapp.training.retraining import retrain_submit
from webapp.uploads.selectors import upload_of

router = Router(tags=["judgements"])

QUEUE = "/teams/{team_slug}/queues/{queue_id}"


class AgreementOut(Schema):
    """A queue's figures. People go by ids in them; `names` has what to call them."""

    names: dict[str, str]
    figures: AgreementFigures


class LabelPreviewOut(Schema):
    """What a label set would hold if it were made now."""

    judgements: int
    questions: int
    trajectories: int
    labels: int = Field(description="Labelled steps.")
    good: int = Field(description="Of them, labels of one half and above.")
    dropped: dict[str, int] = Field(description="What gives no label, by reason.")


class LabelsIn(Schema):
    """How judgements become labels."""

    name: str = Field(default="", max_length=200, description="Of the label set; empty: named after the queue.")
    judged: JudgementLabelConfig = JudgementLabelConfig()


class ImportIn(Schema):
    """A file of judgements that was uploaded for the purpose `judgements`."""

    upload: UUID
    form: Literal["jsonl", "prm800k", "label-studio"] | None = Field(
        default=None, description="Form of the file; null: told from its lines."
    )
    source: str = Field(
        default="",
        max_length=100,
        description="Where it was judged: the same name in one source is the same rater. Empty: the file's name.",
    )


class RetrainIn(Schema):
    """Which process reward model is trained again."""

    model: UUID


@router.get(QUEUE + "/agreement", response=AgreementOut, operation_id="queue_agreement")
@team_operation(Action.ITEM_REVIEW)
def queue_agreement(request: HttpRequest, team_slug: str, queue_id: UUID) -> AgreementOut:
    """How far the people of a queue agree, with each other and with what is known, from their first, blind words."""
    found = agreement_of(queue=selectors.queue_of(team=team_of_call(request), queue_id=queue_id))
    return AgreementOut(names=dict(found.names), figures=found.figures)


@router.post(QUEUE + "/labels/preview", response=LabelPreviewOut, operation_id="queue_labels_preview")
@team_operation(Action.ITEM_REVIEW)
def queue_labels_preview(
    request: HttpRequest, team_slug: str, queue_id: UUID, body: JudgementLabelConfig
) -> LabelPreviewOut:
    """Count what would become of a queue's judgements, and why some would give no label."""
    queue = selectors.queue_of(team=team_of_call(request), queue_id=queue_id)
    found = labels_preview(queues=[queue], config=body)
    return LabelPreviewOut(
        judgements=found.judgements,
        questions=found.questions,
        trajectories=found.trajectories,
        labels=found.labels,
        good=found.good,
        dropped=dict(found.dropped),
    )


@router.post(QUEUE + "/labels", response={202: JobOut}, operation_id="queue_labels_make")
@team_operation(Action.JOB_SUBMIT)
@idempotent
def queue_labels_make(request: HttpRequest, team_slug: str, queue_id: UUID, body: LabelsIn) -> HttpResponse:
    """Freeze what is said in a queue into a label set. The job's result names it."""
    team = team_of_call(request)
    queue = selectors.queue_of(team=team, queue_id=queue_id)
    job = labels_submit(actor=actor_of_call(request), team=team, queues=[queue], config=body.judged, name=body.name)
    return job_accepted(job)


@router.post(QUEUE + "/imports", response={202: JobOut}, operation_id="queue_import")
@team_operation(Action.QUEUE_CHANGE)
@idempotent
def queue_import(request: HttpRequest, team_slug: str, queue_id: UUID, body: ImportIn) -> HttpResponse:
    """Bring judgements into a queue that were made elsewhere. The job's result counts what was new."""
    team = team_of_call(request)
    queue = selectors.queue_of(team=team, queue_id=queue_id)
    upload = upload_of(team=team, upload_id=body.upload)
    return job_accepted(
        import_submit(actor=actor_of_call(request), queue=queue, upload=upload, form=body.form, source=body.source)
    )


@router.post(
    "/teams/{team_slug}/label-sets/{label_set_id}/retrain", response={202: JobOut}, operation_id="label_set_retrain"
)
@team_operation(Action.JOB_SUBMIT)
@idempotent
def label_set_retrain(request: HttpRequest, team_slug: str, label_set_id: UUID, body: RetrainIn) -> HttpResponse:
    """Train a process reward model again with these labels beside those that made it; the rest stays as it was."""
    team = team_of_call(request)
    labels = label_set_of(team=team, label_set_id=label_set_id)
    model = model_own(team=team, model_id=body.model)
    return job_accepted(retrain_submit(actor=actor_of_call(request), team=team, model=model, labels=[labels]))
