"""Who may do what: one table of roles and actions. Pages, API and sockets ask it; nothing else decides.

The instance's operator is no role of a team: an operator sees queues, workers and failures by id, kind and team name,
and never a team's content (`OPERATOR_ACTIONS`). A person may be both.
"""

from collections.abc import Mapping
from enum import StrEnum

from django.db import models


class Role(models.TextChoices):
    """What a person is in a team, from most to least."""

    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    ANNOTATOR = "annotator", "Annotator"
    VIEWER = "viewer", "Viewer"


class Action(StrEnum):
    """Something a person does in a team. The first word is the noun, also of API scopes."""

    TEAM_VIEW = "team.view"
    TEAM_MANAGE = "team.manage"
    TEAM_OWN = "team.own"
    AUDIT_VIEW = "audit.view"
    TOKEN_OWN = "token.own"

    UPLOAD_SEND = "upload.send"
    DATASET_VIEW = "dataset.view"
    DATASET_CHANGE = "dataset.change"
    JOB_VIEW = "job.view"
    JOB_SUBMIT = "job.submit"
    JOB_CONTROL = "job.control"
    MODEL_VIEW = "model.view"
    MODEL_CHANGE = "model.change"
    TREE_VIEW = "tree.view"
    STEP_FLAG = "step.flag"
    QUEUE_VIEW = "queue.view"
    QUEUE_CHANGE = "queue.change"
    ITEM_JUDGE = "item.judge"
    ITEM_REVIEW = "item.review"
    ITEM_DECIDE = "item.decide"
    EVALUATION_VIEW = "evaluation.view"
    EVALUATION_CHANGE = "evaluation.change"
    CHAT_USE = "chat.use"
    WEBHOOK_MANAGE = "webhook.manage"
    ENDPOINT_MANAGE = "endpoint.manage"


class OperatorAction(StrEnum):
    """Something the instance's operator does."""

    OPERATIONS_VIEW = "operations.view"
    OPERATIONS_CONTROL = "operations.control"
    TEAM_CREATE = "team.create"
    API_DOCS = "api.docs"


_OWNER = frozenset({Role.OWNER})
_MANAGERS = _OWNER | {Role.MANAGER}
_READERS = _MANAGERS | {Role.VIEWER}
_ALL = _READERS | {Role.ANNOTATOR}

RULES: Mapping[Action, frozenset[Role]] = {
    Action.TEAM_VIEW: _ALL,
    Action.TEAM_MANAGE: _MANAGERS,  # invite and remove annotators and viewers
    Action.TEAM_OWN: _OWNER,  # owners and managers, settings, deletion
    Action.AUDIT_VIEW: _OWNER,
    Action.TOKEN_OWN: _ALL,  # each person's own tokens, never wider than the role
    Action.UPLOAD_SEND: _MANAGERS,  # and dataset.change or model.change, by what the files are for
    Action.DATASET_VIEW: _READERS,
    Action.DATASET_CHANGE: _MANAGERS,
    Action.JOB_VIEW: _READERS,
    Action.JOB_SUBMIT: _MANAGERS,
    Action.JOB_CONTROL: _MANAGERS,
    Action.MODEL_VIEW: _READERS,
    Action.MODEL_CHANGE: _MANAGERS,
    Action.TREE_VIEW: _READERS,
    Action.STEP_FLAG: _MANAGERS,  # and withdraw what anybody flagged
    Action.QUEUE_VIEW: _ALL,  # what queues there are, their instructions, how far one is oneself
    Action.QUEUE_CHANGE: _MANAGERS,  # make, fill, close, instruct
    Action.ITEM_JUDGE: _MANAGERS | {Role.ANNOTATOR},
    Action.ITEM_REVIEW: _READERS,  # items with what they keep back and all that was said of them
    Action.ITEM_DECIDE: _MANAGERS,  # adjudicate, plant controls, withdraw
    Action.EVALUATION_VIEW: _READERS,
    Action.EVALUATION_CHANGE: _MANAGERS,
    Action.CHAT_USE: _READERS,  # one's own conversations, and those that others shared
    Action.WEBHOOK_MANAGE: _OWNER,
    Action.ENDPOINT_MANAGE: _OWNER,  # remote engines: questions leave the instance through them
}
"""The roles that may do each action."""


GRANTS: Mapping[Role, frozenset[Role]] = {
    Role.OWNER: frozenset(Role),
    Role.MANAGER: frozenset({Role.ANNOTATOR, Role.VIEWER}),
    Role.ANNOTATOR: frozenset(),
    Role.VIEWER: frozenset(),
}
"""The roles that each role may give, change and take away."""


def may_grant(role: str | None, other: str) -> bool:
    """Whether somebody with this role may give `other`, or take it away."""
    return role is not None and other in GRANTS[Role(role)]


def may(role: str | None, action: Action) -> bool:
    """Whether somebody with this role in a team, or none, may do it there."""
    return role in RULES[action]


def actions_of(role: str) -> frozenset[Action]:
    """Everything that the role may do; also the scopes that an API token of its bearer can have."""
    return frozenset(action for action in Action if may(role, action))
