"""Registers the app."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Models, label sets, remote engines."""

    name = "webapp.registry"
    label = "registry"
