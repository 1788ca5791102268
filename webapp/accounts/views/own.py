"""A person's own pages: profile, e-mail, a new team. Password and second factor are allauth's."""

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from webapp.accounts.audit import AccountError
from webapp.accounts.forms import EmailForm, NewTeamForm, ProfileForm
from webapp.accounts.models import Theme
from webapp.accounts.rules import OperatorAction
from webapp.accounts.selectors import memberships_for, user_by_name
from webapp.accounts.services import team_create, user_change, user_email_set
from webapp.common.access import actor_of, operator_page, signed_in


@signed_in
def profile(request: HttpRequest) -> HttpResponse:
    """Name and appearance; ways to everything else about oneself."""
    user = request.user
    initial = {"name": user.name, "theme": user.theme, "mail_when_job_ends": user.mail_when_job_ends}
    has_mail = settings.HAS_MAIL and bool(user.email)
    form = ProfileForm(request.POST or None, initial=initial, has_mail=has_mail)
    if request.method == "POST" and form.is_valid():
        theme = Theme(form.cleaned_data["theme"])
        user_change(
            actor=actor_of(request),
            user=user,
            name=form.cleaned_data["name"],
            theme=theme,
            mail_when_job_ends=form.cleaned_data.get("mail_when_job_ends"),
        )
        messages.success(request, "Saved.")
        return redirect("profile")
    context = {"form": form, "memberships": memberships_for(user=user)}
    return render(request, "accounts/profile.html", context, status=400 if form.errors else 200)


@signed_in
@reauthentication_required
def email(request: HttpRequest) -> HttpResponse:
    """One's e-mail address: it can reset a password, so the password is asked for first."""
    form = EmailForm(request.POST or None, initial={"email": request.user.email})
    if request.method == "POST" and form.is_valid():
        try:
            user_email_set(actor=actor_of(request), user=request.user, email=form.cleaned_data["email"])
        except AccountError as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, "Your e-mail address is changed.")
            return redirect("profile")
    return render(request, "accounts/email.html", {"form": form}, status=400 if form.errors else 200)


@operator_page(OperatorAction.TEAM_CREATE, opened_by="OPEN_TEAMS")
def new_team(request: HttpRequest) -> HttpResponse:
    """Make a team."""
    form = NewTeamForm(request.POST or None, may_name_owner=request.user.is_operator)
    if request.method == "POST" and form.is_valid():
        named = form.cleaned_data.get("owner")
        owner = user_by_name(username=named) if named else request.user
        if owner is None:
            form.add_error("owner", "There is no person of this user name. `meds3 user create` makes one.")
        else:
            team = team_create(actor=actor_of(request), name=form.cleaned_data["name"], owner=owner)
            messages.success(request, f"{team} is made; {owner} owns it.")
            return redirect("team-members", team_slug=team.slug) if owner == request.user else redirect("home")
    return render(request, "accounts/new_team.html", {"form": form}, status=400 if form.errors else 200)
