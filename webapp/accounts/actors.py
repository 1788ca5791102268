"""Who does something, and by which door: what every service is told, for its audit line."""

from dataclasses import dataclass

from webapp.accounts.models import Door, User


@dataclass(frozen=True)
class Actor:
    """Who does something, and by which door."""

    user: User | None
    via: Door = Door.PAGE
    address: str | None = None

    @property
    def name(self) -> str:
        """For the audit log."""
        return self.user.username if self.user else "the instance"


SYSTEM = Actor(None, Door.SYSTEM)
