"""API of what people say about steps."""

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from webapp.accounts.api_auth import actor_of_call, team_of_call, team_operation
from webapp.accounts.rules import Action
from webapp.annotation import selectors, services
from webapp.annotation.models import COMMENT_LENGTH, StepFlag
from webapp.common.api_answers import ApiPage, Paging, answer_made, api_page
from webapp.common.idempotency import idempotent
from webapp.evaluations.selectors import evaluation_for
from webapp.trees.selectors import tree_of

router = Router(tags=["annotation"])


class FlagIn(Schema):
    """A step to be looked at."""

    node: int = Field(ge=0, description="Of the node in its tree; 0 is the root.")
    comment: str = Field(default="", max_length=COMMENT_LENGTH)


class FlagOut(Schema):
    """A flag on a step of a tree, or of an evaluation's answer."""

    id: UUID
    tree: UUID | None
    node: int | None = Field(description="Of a tree")
    evaluation: UUID | None = None
    place: int | None = Field(default=None, description="Of the question in the evaluation")
    sample: int | None = Field(default=None, description="Of the answer; -1: the greedy one")
    step: int | None = Field(default=None, description="Of the answer")
    comment: str
    flagged_by: str
    created: datetime

    @staticmethod
    def of(row: StepFlag) -> "FlagOut":
        """From the row."""
        where: dict[str, int | None] = {"node": row.idx}
        if row.evaluation_id is not None:
            where = {"node": None, "place": row.place, "sample": row.sample, "step": row.idx}
        said = {"comment": row.comment, "flagged_by": row.flagged_by_name, "created": row.created}
        return FlagOut(id=row.pk, tree=row.tree_id, evaluation=row.evaluation_id, **where, **said)


class AnswerFlagIn(Schema):
    """A step of an evaluation's answer to be looked at."""

    place: int = Field(ge=0, description="Of the question in the evaluation, from 0")
    sample: int = Field(default=-1, ge=-1, description="Of the question, from 0; -1: the greedy answer")
    step: int = Field(ge=1)
    comment: str = Field(default="", max_length=COMMENT_LENGTH)


@router.get("/teams/{team_slug}/flags", response=ApiPage[FlagOut], operation_id="flag_list")
@team_operation(Action.TREE_VIEW)
def flag_list(request: HttpRequest, team_slug: str, paging: Query[Paging]) -> ApiPage[FlagOut]:
    """The team's flagged steps, newest first."""
    return api_page(request, selectors.flags_of(team=team_of_call(request)), FlagOut.of, paging)


@router.get("/teams/{team_slug}/trees/{tree_id}/flags", response=ApiPage[FlagOut], operation_id="tree_flags")
@team_operation(Action.TREE_VIEW)
def tree_flags(request: HttpRequest, team_slug: str, tree_id: UUID, paging: Query[Paging]) -> ApiPage[FlagOut]:
    """The flagged steps of one tree, newest first."""
    team = team_of_call(request)
    found = tree_of(team=team, tree_id=tree_id)
    return api_page(request, selectors.flags_of(team=team).filter(tree=found.pk), FlagOut.of, paging)


@router.post("/teams/{team_slug}/trees/{tree_id}/flags", response={201: FlagOut}, operation_id="step_flag")
@team_operation(Action.STEP_FLAG)
@idempotent
def step_flag(request: HttpRequest, team_slug: str, tree_id: UUID, body: FlagIn) -> HttpResponse:
    """Flag a step with a comment. The same person's second flag on a step replaces the comment of the first."""
    found = tree_of(team=team_of_call(request), tree_id=tree_id)
    made = services.step_flag(actor=actor_of_call(request), tree=found, idx=body.node, comment=body.comment)
    return answer_made(FlagOut.of(made), location=f"/api/v1/teams/{team_slug}/flags/{made.pk}")


@router.post(
    "/teams/{team_slug}/evaluations/{evaluation_id}/flags", response={201: FlagOut}, operation_id="answer_flag"
)
@team_operation(Action.STEP_FLAG)
@idempotent
def answer_flag(request: HttpRequest, team_slug: str, evaluation_id: UUID, body: AnswerFlagIn) -> HttpResponse:
    """Flag a step of an evaluation's answer with a comment."""
    found = evaluation_for(team=team_of_call(request), evaluation_id=evaluation_id)
    where = {"place": body.place, "sample": body.sample, "step": body.step}
    made = services.answer_flag(actor=actor_of_call(request), evaluation=found, comment=body.comment, **where)
    return answer_made(FlagOut.of(made), location=f"/api/v1/teams/{team_slug}/flags/{made.pk}")


@router.get("/teams/{team_slug}/flags/{flag_id}", response=FlagOut, operation_id="flag_show")
@team_operation(Action.TREE_VIEW)
def flag_show(request: HttpRequest, team_slug: str, flag_id: UUID) -> FlagOut:
    """One flag."""
    return FlagOut.of(selectors.flag_of(team=team_of_call(request), flag_id=flag_id))


@router.delete("/teams/{team_slug}/flags/{flag_id}", response={204: None}, operation_id="flag_withdraw")
@team_operation(Action.STEP_FLAG)
def flag_withdraw(request: HttpRequest, team_slug: str, flag_id: UUID) -> Status[None]:
    """Withdraw a flag: one's own, or as a manager anybody's. Who flagged it, and when, is kept."""
    found = selectors.flag_of(team=team_of_call(request), flag_id=flag_id)
    services.flag_withdraw(actor=actor_of_call(request), flag=found)
    return Status(204, None)
