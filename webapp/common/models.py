"""Bases of the tables that have a URL of their own."""

import uuid

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
