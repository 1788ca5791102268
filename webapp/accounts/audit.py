"""The audit log's one writer, and the error of asking for what the rules of accounts do not allow."""

from typing import Any

from meds3core.errors import UserError
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry, Team


class AccountError(UserError):
    """Somebody asked for what the rules of accounts do not allow; the message says what to do instead."""

    code = "account"


def audit_write(*, actor: Actor, verb: str, team: Team | None, subject: str = "", **details: Any) -> None:
    """One line of the audit log: names and ids, no content. Called inside the transaction of what it tells of."""
    AuditEntry.objects.create(
        team=team,
        actor=actor.user,
        actor_name=actor.name,
        via=actor.via,
        verb=verb,
        subject=subject[:200],
        details=details,
        address=actor.address,
    )
