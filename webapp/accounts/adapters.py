"""How allauth is told our rules: who may make an account, who counts wrong passwords, what a client's address is."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse

from webapp.accounts.actors import Actor
from webapp.accounts.audit import AccountError, audit_write
from webapp.accounts.links import invitation_accept
from webapp.accounts.models import Invitation, User
from webapp.accounts.selectors import valid_invitation
from webapp.common.client import client_address

INVITED = "invitation"
"""Session key: the id of the invitation that a person who has not signed in yet is answering."""


def invitation_under_way(request: HttpRequest) -> Invitation | None:
    """The invitation that this browser is answering, while it is open."""
    held = request.session.get(INVITED)
    return valid_invitation(invitation_id=held) if held else None


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up by invitation only, unless a setting opens it; an invitation makes one account and is spent by it."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """An invitation under way that is still open, or the setting."""
        return bool(settings.OPEN_SIGNUP) or invitation_under_way(request) is not None

    def clean_email(self, email: str) -> str:
        """An invitation that was made for an address makes an account of that address only."""
        invitation = invitation_under_way(self.request) if self.request else None
        if invitation and invitation.email and invitation.email != email.lower():
            raise forms.ValidationError("Your invitation is for another e-mail address. Use that one.")
        return email

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Make the account and, in the same transaction, spend the invitation that let it be made."""
        invitation = invitation_under_way(request)
        try:
            with transaction.atomic():
                saved: User = super().save_user(request, user, form, commit)
                actor = Actor(saved, address=client_address(request))
                if commit:
                    audit_write(actor=actor, verb="user.created", team=None, subject=saved.username)
                if commit and invitation:
                    invitation_accept(actor=actor, invitation=invitation)
        except AccountError as error:  # somebody else spent it a moment ago: no account is made
            messages.error(request, str(error))
            raise ImmediateHttpResponse(redirect("invitation")) from error
        if commit:
            request.session.pop(INVITED, None)
        return saved

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Back to the invitation that the person is answering, if any."""
        if invitation_under_way(request) is not None:
            return reverse("invitation-answer")
        return str(super().get_login_redirect_url(request))

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        """The same for somebody who was made by their first sign-in at an identity provider."""
        return self.get_login_redirect_url(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Wrong passwords are axes' business, by name and address (`lockout`).

        allauth's own count is by name alone, with which anybody could lock a colleague out from anywhere, and by
        address alone, which would lock out a ward. It still counts wrong codes of the second factor.
        """

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Nothing without a mail server: Django would write the link of a reset to the terminal or the log."""
        if settings.HAS_MAIL:
            super().send_mail(template_prefix, email, context)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address behind the configured number of proxies."""
        return client_address(request)


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An identity provider that the operator configured may bring people in; they are in no team until invited."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Yes: the operator chose the provider."""
        return True

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        """A person has one name here, as they write it."""
        user: User = super().populate_user(request, sociallogin, data)
        parts = [data.get("first_name"), data.get("last_name")]
        user.name = str(data.get("name") or " ".join(part for part in parts if part))[:150]
        return user

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Make the account, with its line in the audit log. An invitation is answered on its own page afterwards."""
        with transaction.atomic():
            saved: User = super().save_user(request, sociallogin, form)
            actor = Actor(saved, address=client_address(request))
            if form is None:  # with a form, the account adapter wrote it
                provider = sociallogin.account.provider
                audit_write(actor=actor, verb="user.created", team=None, subject=saved.username, provider=provider)
        return saved
