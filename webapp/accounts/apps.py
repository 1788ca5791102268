"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People, teams, roles, tokens, the audit log."""

    name = "webapp.accounts"
    label = "accounts"
