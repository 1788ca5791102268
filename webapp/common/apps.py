"""Registers the app."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """What every app shares."""

    name = "webapp.common"
    label = "common"
