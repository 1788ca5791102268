"""Registers the app."""

from django.apps import AppConfig

from webapp.common import logging


class CommonConfig(AppConfig):
    """What every app shares."""

    name = "webapp.common"
    label = "common"

    def ready(self) -> None:
        """Our own log lines go where those of libraries go."""
        logging.configure()
