"""Registers the app."""

from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    """What people say about steps."""

    name = "webapp.annotation"
    label = "annotation"
