"""What the navigation offers: one table of pages. An entry shows when its page exists and the person's role allows it.

A room that gets its first page needs no change here if its URL has the name below.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

from webapp.accounts.models import Membership
from webapp.accounts.rules import Action, may


@dataclass(frozen=True)
class Entry:
    """A page by the name of its URL. With an action: a team's page; else the person's or the instance's own."""

    label: str
    icon: str
    url_name: str
    action: Action | None = None


@dataclass(frozen=True)
class Link:
    """An entry that this person may follow now."""

    label: str
    icon: str
    url: str
    current: bool


HOME = Entry("Home", "home", "home")

WORK = (
    Entry("Datasets", "database", "dataset-list", Action.DATASET_VIEW),
    Entry("Searches", "binary-tree-2", "search-list", Action.TREE_VIEW),
    Entry("Training", "school", "training-list", Action.JOB_VIEW),
    Entry("Evolution", "refresh", "evolution-list", Action.JOB_VIEW),
    Entry("Models", "box", "model-list", Action.MODEL_VIEW),
    Entry("Evaluations", "chart-bar", "evaluation-list", Action.EVALUATION_VIEW),
    Entry("Judging", "pencil-check", "queue-list", Action.QUEUE_VIEW),
    Entry("Chat", "message-circle", "chat-list", Action.CHAT_USE),
    Entry("Jobs", "player-play", "job-list", Action.JOB_VIEW),
)
TEAM = (
    Entry("Members", "users", "team-members", Action.TEAM_VIEW),
    Entry("API tokens", "key", "team-tokens", Action.TOKEN_OWN),
    Entry("Remote engines", "server-cog", "endpoint-list", Action.MODEL_VIEW),
    Entry("Webhooks", "link", "team-webhooks", Action.WEBHOOK_MANAGE),
    Entry("Audit log", "history", "team-audit", Action.AUDIT_VIEW),
    Entry("Settings", "settings", "team-settings", Action.TEAM_OWN),
)
INSTANCE = (
    Entry("Operations", "server-cog", "operations"),
    Entry("New team", "users-group", "team-create"),
)
ACCOUNT = (
    Entry("Profile", "user-circle", "profile"),
    Entry("Password", "lock", "account_change_password"),
    Entry("Second factor", "shield-lock", "mfa_index"),
    Entry("E-mail address", "mail-forward", "profile-email"),
)


def links(entries: tuple[Entry, ...], *, path: str, membership: Membership | None = None) -> list[Link]:
    """The entries that exist and are open to the person, with the one that holds `path` marked as current.

    Entries of a team need the membership; those of the instance are given to its operators only, by the caller.
    """
    found = list(_open(entries, membership))
    holding = max((url for _, url in found if path.startswith(url)), key=len, default=None)
    return [Link(entry.label, entry.icon, url, url == holding) for entry, url in found]


def _open(entries: tuple[Entry, ...], membership: Membership | None) -> Iterator[tuple[Entry, str]]:
    for entry in entries:
        if entry.action is not None and (membership is None or not may(membership.role, entry.action)):
            continue
        arguments = [membership.team.slug] if entry.action is not None and membership is not None else []
        try:
            yield entry, reverse(entry.url_name, args=arguments)
        except NoReverseMatch:  # the page is not built yet
            continue


def first_page(membership: Membership) -> str:
    """Where a person who turns to this team arrives: the first page there that is open to them."""
    return next(url for _, url in _open(WORK + TEAM, membership))
