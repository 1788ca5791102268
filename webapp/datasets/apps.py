"""Registers the app."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Questions in immutable versions."""

    name = "webapp.datasets"
    label = "datasets"
