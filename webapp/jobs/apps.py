"""Registers the app."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Jobs, their events and metrics, workers and devices."""

    name = "webapp.jobs"
    label = "jobs"
