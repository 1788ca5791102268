"""API of training: what a run would see. Runs themselves are jobs, and their curves are the jobs'."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema

from meds3core.config.jobs import TrainingPreviewSpec
from meds3core.training.preview import DataPreview as Counts
from meds3core.training.shown import ShownExample
from webapp.accounts.api_auth import actor_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.common.api_answers import answer_made
from webapp.common.idempotency import idempotent
from webapp.training import previews
from webapp.training.models import DataPreview

router = Router(tags=["training"])


class PreviewOut(Schema):
    """A preview of training data. While it is not ready, its job says how far it is."""

    id: UUID
    method: str
    ready: bool
    job: UUID | None = Field(description="Its maker; null when it is long over.")
    policy: UUID
    labels: UUID | None
    questions: UUID | None
    counts: Counts | None = Field(description="Everything counted; its examples have an operation of their own.")

    @staticmethod
    def of(preview: DataPreview) -> "PreviewOut":
        """As the API shows it."""
        return PreviewOut(
            id=preview.pk,
            method=preview.method,
            ready=preview.ready,
            job=preview.job_id,
            policy=preview.policy_id,
            labels=preview.labels_id,
            questions=preview.questions_id,
            counts=previews.counts_of(preview),
        )


class ExamplesOut(Schema):
    """Some of the examples that were kept, in the order of the set."""

    total: int
    items: list[ShownExample]


class _Which(Schema):
    start: int = Field(default=0, ge=0)
    limit: int = Field(default=10, ge=1, le=100)
    left_out: bool = Field(default=False, description="Only those that are too long.")


@router.post(
    "/teams/{team_slug}/training-previews",
    response={200: PreviewOut, 202: PreviewOut},
    operation_id="training_preview_create",
)
@team_operation(Action.JOB_SUBMIT)
@idempotent
def training_preview_create(request: HttpRequest, team_slug: str, body: TrainingPreviewSpec) -> HttpResponse:
    """What a training with this specification would see: at once where it is known (200), else by a job (202)."""
    found = previews.preview_request(
        actor=actor_of_call(request),
        team=request.team,  # type: ignore[attr-defined]
        spec=body.training,
    )
    place = reverse("api-1:training_preview_show", kwargs={"team_slug": team_slug, "preview_id": found.pk})
    return answer_made(PreviewOut.of(found), location=place, status=200 if found.ready else 202)


@router.get(
    "/teams/{team_slug}/training-previews/{preview_id}",
    response=PreviewOut,
    operation_id="training_preview_show",
    url_name="training_preview_show",
)
@team_operation(Action.TREE_VIEW)
def training_preview_show(request: HttpRequest, team_slug: str, preview_id: UUID) -> PreviewOut:
    """A preview with its counts."""
    return PreviewOut.of(_preview(request, preview_id))


@router.get(
    "/teams/{team_slug}/training-previews/{preview_id}/examples",
    response=ExamplesOut,
    operation_id="training_preview_examples",
)
@team_operation(Action.TREE_VIEW)
def training_preview_examples(
    request: HttpRequest, team_slug: str, preview_id: UUID, which: Query[_Which]
) -> dict[str, Any]:
    """Examples token by token, with what the loss falls on and where labels sit."""
    found = previews.examples_of(
        _preview(request, preview_id), start=which.start, size=which.limit, too_long=which.left_out
    )
    return {"total": found.total, "items": found.rows}


def _preview(request: HttpRequest, preview_id: UUID) -> DataPreview:
    return previews.preview_of(team=request.team, preview_id=preview_id)  # type: ignore[attr-defined]
