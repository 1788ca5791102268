"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People, teams, roles, tokens, the audit log."""

    name = "webapp.accounts"
    label = "accounts"

    def ready(self) -> None:
        """The audit log also tells what allauth does."""
        from webapp.accounts import watch  # it needs the models

        watch.connect()
