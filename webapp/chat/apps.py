"""The app of conversations with models."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Conversations, their turns, and how they are answered."""

    name = "webapp.chat"
    label = "chat"
