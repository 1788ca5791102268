"""Registers the app."""

from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    """What was measured of policies on benchmarks."""

    name = "webapp.evaluations"
    label = "evaluations"
