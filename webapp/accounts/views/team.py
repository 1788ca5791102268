"""A team's own pages: members, invitations, settings, audit log, and a person's API tokens there."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from webapp.accounts import selectors
from webapp.accounts.audit import AccountError
from webapp.accounts.forms import InvitationForm, RoleForm, TeamForm, TokenForm
from webapp.accounts.links import invitation_create, invitation_revoke
from webapp.accounts.mail import invitation_mail
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, Role, may, may_grant
from webapp.accounts.services import membership_change, membership_leave, membership_remove, team_change
from webapp.accounts.tokens import api_token_create, api_token_revoke
from webapp.common.access import actor_of, team_page

SHOWN_ONCE = "shown_once"
"""Key of a page's context: a secret that this answer shows and no later one can."""


@team_page(Action.TEAM_VIEW)
@require_GET
def members(request: HttpRequest, team: Team) -> HttpResponse:
    """Who is in the team, and who is invited."""
    return _members_page(request, team)


@team_page(Action.TEAM_MANAGE)
@never_cache
@require_POST
def invite(request: HttpRequest, team: Team) -> HttpResponse:
    """Invite somebody: the answer shows the link, once; where there is a mail server it is sent as well."""
    form = InvitationForm(request.POST, own_role=request.membership.role)
    if not form.is_valid():
        return _members_page(request, team, form=form, status=400)
    email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
    try:
        invitation, secret = invitation_create(actor=actor_of(request), team=team, role=role, email=email)
    except AccountError as error:
        messages.error(request, str(error))
        return redirect("team-members", team_slug=team.slug)
    link = request.build_absolute_uri(reverse("invitation")) + f"#{secret}"
    sent = invitation_mail(invitation=invitation, link=link)
    return _members_page(request, team, invited={SHOWN_ONCE: link, "invitation": invitation, "sent": sent})


def _members_page(
    request: HttpRequest, team: Team, *, form: InvitationForm | None = None, status: int = 200, **more: object
) -> HttpResponse:
    own = request.membership
    rows = [
        {
            "membership": each,
            "id": each.pk.hex,
            "role_form": RoleForm(initial={"role": each.role}, own_role=own.role, auto_id=f"id_{each.pk}_%s"),
            "may_change": may_grant(own.role, each.role),
        }
        for each in selectors.members_of(team=team)
    ]
    may_manage = may(own.role, Action.TEAM_MANAGE)
    context = {
        "team": team,
        "rows": rows,
        "own": own,
        "may_manage": may_manage,
        "form": form or (InvitationForm(own_role=own.role) if may_manage else None),
        "invitations": selectors.open_invitations_of(team=team) if may_manage else [],
        **more,
    }
    return render(request, "accounts/members.html", context, status=status)


@team_page(Action.TEAM_MANAGE)
@require_POST
def member_role(request: HttpRequest, team: Team, membership_id: uuid.UUID) -> HttpResponse:
    """Give a member another role."""
    membership = selectors.member_of(team=team, membership_id=membership_id)
    form = RoleForm(request.POST, own_role=request.membership.role)
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        try:
            membership_change(actor=actor_of(request), membership=membership, role=role)
            messages.success(request, f"{membership.user} is {role.label.lower()} now.")
        except AccountError as error:
            messages.error(request, str(error))
    else:
        messages.error(request, "Your role does not allow to give this role.")
    return redirect("team-members", team_slug=team.slug)


@team_page(Action.TEAM_MANAGE)
@require_POST
def member_remove(request: HttpRequest, team: Team, membership_id: uuid.UUID) -> HttpResponse:
    """Take a member out."""
    membership = selectors.member_of(team=team, membership_id=membership_id)
    try:
        membership_remove(actor=actor_of(request), membership=membership)
        messages.success(request, f"{membership.user} is out of the team.")
    except AccountError as error:
        messages.error(request, str(error))
    if membership.user == request.user:
        return redirect("home")
    return redirect("team-members", team_slug=team.slug)


@team_page(Action.TEAM_VIEW)
@require_POST
def leave(request: HttpRequest, team: Team) -> HttpResponse:
    """Leave the team."""
    try:
        membership_leave(actor=actor_of(request), team=team)
    except AccountError as error:
        messages.error(request, str(error))
        return redirect("team-members", team_slug=team.slug)
    messages.success(request, f"You left {team}.")
    return redirect("home")


@team_page(Action.TEAM_MANAGE)
@require_POST
def revoke_invitation(request: HttpRequest, team: Team, invitation_id: uuid.UUID) -> HttpResponse:
    """Make an invitation's link worthless."""
    invitation = selectors.open_invitation_of(team=team, invitation_id=invitation_id)
    invitation_revoke(actor=actor_of(request), invitation=invitation)
    messages.success(request, "The invitation's link does not work any more.")
    return redirect("team-members", team_slug=team.slug)


@team_page(Action.TEAM_OWN)
def team_settings(request: HttpRequest, team: Team) -> HttpResponse:
    """Name, and whether members need a second factor."""
    form = TeamForm(request.POST or None, instance=team)
    if request.method == "POST" and form.is_valid():
        name, mfa_required = form.cleaned_data["name"], form.cleaned_data["mfa_required"]
        team_change(actor=actor_of(request), team=team, name=name, mfa_required=mfa_required)
        messages.success(request, "Saved.")
        return redirect("team-settings", team_slug=team.slug)
    context = {"team": team, "form": form}
    return render(request, "accounts/team_settings.html", context, status=400 if form.errors else 200)


@team_page(Action.AUDIT_VIEW)
@require_GET
def audit(request: HttpRequest, team: Team) -> HttpResponse:
    """Who did what, newest first."""
    before = request.GET.get("before", "")
    page = selectors.audit_of(team=team, before=int(before) if before.isdecimal() and len(before) < 19 else None)
    return render(request, "accounts/audit.html", {"team": team, "page": page})


@team_page(Action.TOKEN_OWN)
@never_cache
def tokens(request: HttpRequest, team: Team) -> HttpResponse:
    """One's API tokens for this team; a new one is shown in the answer that makes it and never again."""
    form = TokenForm(request.POST or None, own_role=request.membership.role)
    made = None
    if request.method == "POST" and form.is_valid():
        token, text = api_token_create(
            actor=actor_of(request),
            user=request.user,
            team=team,
            name=form.cleaned_data["name"],
            scopes=form.chosen_scopes,
            lifetime=form.lifetime,
        )
        made = {SHOWN_ONCE: text, "token": token}
    status = 400 if form.errors else 200
    if made:
        form = TokenForm(own_role=request.membership.role)
    rows = selectors.api_tokens_for(user=request.user, team=team)
    context = {"team": team, "form": form, "tokens": rows, "made": made}
    return render(request, "accounts/tokens.html", context, status=status)


@team_page(Action.TOKEN_OWN)
@require_POST
def revoke_token(request: HttpRequest, team: Team, token_id: uuid.UUID) -> HttpResponse:
    """Make one's token worthless."""
    token = selectors.api_token_for(user=request.user, team=team, token_id=token_id)
    api_token_revoke(actor=actor_of(request), token=token)
    messages.success(request, f"The token {token.name} does not work any more.")
    return redirect("team-tokens", team_slug=team.slug)
