"""Remote engines: registered by owners, since questions leave the instance through them. A key is written and never
shown; each change leaves a line in the audit log.
"""

import json

from django.db import IntegrityError, transaction

from webapp.accounts.actors import Actor
from webapp.accounts.audit import audit_write
from webapp.accounts.models import Team
from webapp.common.vault import seal, unseal
from webapp.endpoints.keys import EndpointError
from webapp.jobs.models import JobInput
from webapp.jobs.transitions import ENDED
from webapp.outgoing.client import ask
from webapp.outgoing.rules import OutgoingRefused, Resolver, outbound_rules, target_of
from webapp.outgoing.transport import resolved
from webapp.registry.models import Endpoint


def endpoint_create(
    *,
    actor: Actor,
    team: Team,
    name: str,
    url: str,
    model: str,
    api: str = "completions",
    context_length: int = 4096,
    key: str = "",
) -> Endpoint:
    """Register one. Raises `EndpointError`, and `OutgoingRefused` for a host that this instance may not reach."""
    outbound_rules().check_url(url)
    columns = {"url": url.rstrip("/"), "model": model, "api": api, "context_length": context_length}
    try:
        with transaction.atomic():
            endpoint = Endpoint.objects.create(team=team, name=name, key_encrypted=seal(key) if key else "", **columns)
            _audit(actor, "endpoint.created", endpoint)
    except IntegrityError:
        raise EndpointError(f"{team} has a remote engine called {name} already. Choose another name.") from None
    return endpoint


def endpoint_change(
    *,
    actor: Actor,
    endpoint: Endpoint,
    name: str,
    url: str,
    model: str,
    api: str,
    context_length: int,
    key: str | None = None,
) -> Endpoint:
    """Change it. `key` none: the old one stays, but neither for another host nor for a way without TLS."""
    outbound_rules().check_url(url)
    moved = _server_of(url) != _server_of(endpoint.url)
    columns = {"name": name, "url": url.rstrip("/"), "model": model, "api": api, "context_length": context_length}
    if key is not None or moved:
        columns["key_encrypted"] = seal(key) if key else ""
    try:
        with transaction.atomic():
            Endpoint.objects.filter(pk=endpoint.pk).update(**columns)
            _audit(actor, "endpoint.changed", endpoint)
    except IntegrityError:
        raise EndpointError(
            f"{endpoint.team} has a remote engine called {name} already. Choose another name."
        ) from None
    endpoint.refresh_from_db()
    return endpoint


@transaction.atomic
def endpoint_delete(*, actor: Actor, endpoint: Endpoint) -> None:
    """Remove it with its key. Raises `EndpointError` while a job that has not ended names it."""
    using = JobInput.objects.filter(kind="endpoint", thing=endpoint.pk).exclude(job__state__in=ENDED)
    busy = using.select_related("job").first()
    if busy is not None:
        raise EndpointError(f"{busy.job} uses it and has not ended. Cancel that job first, or wait for it.")
    _audit(actor, "endpoint.deleted", endpoint)
    Endpoint.objects.filter(pk=endpoint.pk).delete()


def endpoint_ask(*, endpoint: Endpoint, resolve: Resolver = resolved) -> list[str]:
    """The models that the server says it serves. Raises `EndpointError`, `OutgoingRefused`, `OutgoingFailed`."""
    key = unseal(endpoint.key_encrypted) if endpoint.key_encrypted else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = ask("GET", f"{endpoint.url}/models", headers=headers, resolve=resolve)
    if answer.status in (401, 403):
        raise EndpointError("The server refused the key.")
    try:
        found = json.loads(answer.content)["data"] if answer.is_success else None
        return [str(model["id"])[:200] for model in found or ()] if found is not None else _not_one()
    except (ValueError, KeyError, TypeError):
        return _not_one()


def _not_one() -> list[str]:
    raise EndpointError("It does not answer like an OpenAI-compatible server. Does the address end in /v1?")


def _server_of(url: str) -> str:
    """Host, port, and whether the way there is sealed."""
    try:
        return f"{url.partition(':')[0].lower()} {target_of(url)}"
    except OutgoingRefused:
        return ""


def _audit(actor: Actor, verb: str, endpoint: Endpoint) -> None:
    audit_write(actor=actor, verb=verb, team=endpoint.team, subject=endpoint.name, endpoint=str(endpoint.pk))
