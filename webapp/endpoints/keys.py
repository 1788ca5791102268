"""How a remote engine's key comes to the job that asks it: by the environment of the job's process and no other way."""

import logging
import os
from uuid import UUID

from meds3core.config.engine import OpenAIEngineConfig
from meds3core.errors import UserError
from webapp.common.vault import VaultError, unseal
from webapp.jobs.models import JobInput
from webapp.outgoing.rules import outbound_rules
from webapp.registry.models import Endpoint

log = logging.getLogger(__name__)


class EndpointError(UserError):
    """A remote engine cannot be made, changed or used like this; the message says why."""

    code = "endpoint"


def key_variable(endpoint_id: UUID) -> str:
    """The environment variable that holds its key."""
    return f"MEDS3_ENDPOINT_KEY_{endpoint_id.hex.upper()}"


def endpoint_keys(*, job_id: UUID) -> dict[str, str]:
    """Keys of the remote engines that a job names, by variable: for the environment of its process.

    One that cannot be unsealed is left out; `remote_engine` says so in the job's process.
    """
    things = JobInput.objects.filter(job=job_id, kind="endpoint").values("thing")
    found = {}
    for endpoint in Endpoint.objects.filter(pk__in=things).exclude(key_encrypted=""):
        try:
            found[key_variable(endpoint.pk)] = unseal(endpoint.key_encrypted)
        except VaultError:
            log.warning("the key of the remote engine %s cannot be unsealed", endpoint.pk)
    return found


def remote_engine(endpoint: Endpoint) -> OpenAIEngineConfig:
    """The engine's settings in a job's process. Raises `EndpointError` and `OutgoingRefused`."""
    outbound_rules().check_url(endpoint.url)
    variable = key_variable(endpoint.pk)
    given = os.environ.get(variable, "")
    if endpoint.key_encrypted and not given:
        raise EndpointError(f"The key of {endpoint.name} cannot be read any more. Enter it anew on its page.")
    if given != (unseal(endpoint.key_encrypted) if endpoint.key_encrypted else ""):
        # Changed since this process was started: the key that it was given may be that of another server.
        raise EndpointError(f"{endpoint.name} was changed while the job began. Try the job again.")
    return OpenAIEngineConfig(
        base_url=endpoint.url,
        model=endpoint.model,
        key_variable=variable,
        api="chat" if endpoint.api == "chat" else "completions",
        context_length=endpoint.context_length,
    )
