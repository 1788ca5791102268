"""What every page's frame shows: the person's teams, the theme."""

from typing import Any

from django.http import HttpRequest

from webapp.accounts.selectors import memberships_for


def page(request: HttpRequest) -> dict[str, Any]:
    """Context of the base template."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"theme": "auto"}
    current = getattr(request, "membership", None)
    return {"theme": user.theme, "my_memberships": memberships_for(user=user), "membership": current}
