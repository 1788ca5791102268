"""Registers the app."""

from django.apps import AppConfig


class TreesConfig(AppConfig):
    """Search trees, their nodes and scores."""

    name = "webapp.trees"
    label = "trees"
