"""People and teams for browser tests. These functions run in the second process: `studio.call(person, username=…)`."""

import time

PASSWORD = "correct horse battery"


def person(
    *, username: str, team: str = "", role: str = "owner", is_operator: bool = False, email: str = "", name: str = ""
) -> None:
    """Somebody with the password `PASSWORD`; in the team of this name, which is made when there is none."""
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.accounts.rules import Role
    from webapp.accounts.services import membership_set, team_create, user_create, user_password_set

    made = user_create(actor=SYSTEM, username=username, email=email, name=name, is_operator=is_operator)
    user_password_set(actor=SYSTEM, user=made, password=PASSWORD)
    if team:
        present = Team.objects.filter(name=team).first()
        if present is None:
            team_create(actor=SYSTEM, name=team, owner=made)
        else:
            membership_set(actor=SYSTEM, team=present, user=made, role=Role(role))


def retire() -> None:
    """Everybody and every team get other names: the next file's may be called like these."""
    from webapp.accounts.models import Team, User

    for user in User.objects.exclude(username__startswith="gone-"):
        User.objects.filter(pk=user.pk).update(username=f"gone-{user.pk}")
    for team in Team.objects.filter(is_system=False).exclude(slug__startswith="gone-"):
        Team.objects.filter(pk=team.pk).update(name=f"Gone {team.pk}", slug=f"gone-{team.pk}"[:40])


def session(*, username: str) -> str:
    """The cookie of somebody who signed in with their password just now."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from webapp.accounts.models import User

    user = User.objects.get(username=username)
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store["account_authentication_methods"] = [{"method": "password", "at": time.time(), "username": username}]
    store.create()
    return str(store.session_key)


def theme(*, username: str) -> str:
    """The theme that the person chose."""
    from webapp.accounts.models import User

    return User.objects.get(username=username).theme
