"""API of the instance's operators: workers, queues, how many jobs a team may run. Ids, kinds and names, no content."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from webapp.accounts.api_auth import actor_of_call, operator_operation
from webapp.accounts.rules import OperatorAction
from webapp.jobs import selectors, services
from webapp.jobs.api_schemas import Draining, QueueOut, TeamLimitIn, TeamLimitOut, WorkerOut

router = Router(tags=["operations"])


@router.get("/operations/workers", response=list[WorkerOut], operation_id="worker_list")
@operator_operation(OperatorAction.OPERATIONS_VIEW)
def worker_list(request: HttpRequest) -> list[WorkerOut]:
    """The workers that were ever seen."""
    return [WorkerOut.of(worker) for worker in selectors.workers_known()]


@router.put("/operations/workers/{worker_id}/draining", response=WorkerOut, operation_id="worker_drain")
@operator_operation(OperatorAction.OPERATIONS_CONTROL)
def worker_drain(request: HttpRequest, worker_id: UUID, body: Draining) -> WorkerOut:
    """Let a worker finish: its job checkpoints and waits for another one. Or let it work again."""
    worker = selectors.worker_known(worker_id=worker_id)
    services.worker_drain(actor=actor_of_call(request), worker=worker, draining=body.draining)
    return WorkerOut.of(selectors.worker_known(worker_id=worker_id))


@router.get("/operations/queues", response=list[QueueOut], operation_id="queue_list")
@operator_operation(OperatorAction.OPERATIONS_VIEW)
def queue_list(request: HttpRequest) -> list[QueueOut]:
    """How many jobs wait and run, by queue; a queue without either is left out."""
    return [QueueOut(**queue) for queue in selectors.queues_overview()]


@router.get("/operations/teams", response=list[TeamLimitOut], operation_id="team_limit_list")
@operator_operation(OperatorAction.OPERATIONS_VIEW)
def team_limit_list(request: HttpRequest) -> list[TeamLimitOut]:
    """Every team by name, and how many of its jobs may run, do run and wait."""
    return [TeamLimitOut(**team) for team in selectors.team_limits()]


@router.put("/operations/teams/{slug}/limit", response=TeamLimitOut, operation_id="team_limit_set")
@operator_operation(OperatorAction.OPERATIONS_CONTROL)
def team_limit_set(request: HttpRequest, slug: str, body: TeamLimitIn) -> TeamLimitOut:
    """How many of a team's jobs may run at once."""
    team = selectors.team_known(slug=slug)
    services.team_limit_set(actor=actor_of_call(request), team=team, limit=body.limit)
    (found,) = selectors.team_limits(slug=slug)
    return TeamLimitOut(**found)
