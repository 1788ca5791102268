"""How allauth is told our rules: who may make an account, and where a person goes."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.http import HttpRequest

INVITED = "invitation"
"""Session key: the id of the invitation that a person who has no account yet is answering."""


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up by invitation only, unless a setting opens it."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An invitation under way, or the setting."""
        return bool(settings.OPEN_SIGNUP or request.session.get(INVITED))


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity provider that the operator configured may bring people in; they are in no team until invited."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Yes: the operator chose the provider."""
        return True
