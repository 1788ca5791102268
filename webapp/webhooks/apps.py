"""Registers the app."""

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from webapp.outgoing.rules import outbound_rules


class WebhooksConfig(AppConfig):
    """Calls to other programs when something has happened."""

    name = "webapp.webhooks"
    label = "webhooks"

    def ready(self) -> None:
        """A list of hosts that cannot be read is said at start, not when something is to be sent."""
        checks.register(_outbound_list)


def _outbound_list(**_: Any) -> list[checks.CheckMessage]:
    try:
        outbound_rules()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="webhooks.E001")]
    return []
