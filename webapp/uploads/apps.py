"""Registers the app."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Files on their way in."""

    name = "webapp.uploads"
    label = "uploads"
