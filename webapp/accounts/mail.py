"""Mail of accounts. Where there is no mail server, pages show links to copy instead."""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

from webapp.accounts.models import Invitation

log = structlog.get_logger(__name__)


def invitation_mail(*, invitation: Invitation, link: str) -> bool:
    """Send an invitation's link to the person it is for, where there is a mail server; whether it was taken."""
    if not settings.HAS_MAIL or not invitation.email:
        return False
    text = render_to_string("accounts/mail/invitation.txt", {"invitation": invitation, "link": link})
    try:
        send_mail(f"Invitation to {invitation.team}", text, settings.DEFAULT_FROM_EMAIL, [invitation.email])
    except (OSError, smtplib.SMTPException):  # the page shows the link: nobody waits for a mail that never comes
        log.warning("invitation_mail_failed", invitation=str(invitation.pk), exc_info=True)
        return False
    return True
