"""Bases of the tables that have a URL of their own, and the one table that belongs to no app."""

import uuid

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """An id that sorts by the time it was made, so that a page is a range of ids."""
    return uuid7()


class Entity(models.Model):
    """A row that people meet: an id that says nothing but its age, and when it was made."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class TeamEntity(Entity):
    """A row behind a team's wall. Reached through a selector `X_for(user)`, never by `objects` in a view.

    A team is never deleted with its rows by accident: that is a service of its own.
    """

    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")

    class Meta:
        abstract = True


class IdempotentAnswer(models.Model):
    """What a creating request of the API was answered, so that the same one, sent again, creates nothing again.

    The answer is sealed (webapp.common.vault): it may hold a secret that is shown once.
    """

    id = models.BigAutoField(primary_key=True)
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    digest = models.CharField(max_length=64, help_text="Of method, path and body.")
    status = models.PositiveSmallIntegerField(default=0)
    location = models.CharField(max_length=500, blank=True)
    body = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user", "key"], name="one_answer_per_key"),
            models.UniqueConstraint(
                fields=["user", "key"], condition=models.Q(team__isnull=True), name="one_answer_per_key_without_team"
            ),
        ]
