"""Registers the app."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Training: its forms, its runs, what they learn from."""

    name = "webapp.training"
    label = "training"
