"""Pages that let somebody in by a link: an invitation, a one-time sign-in, a new password.

The secret stands in the link's fragment: it reaches this server only in the body of a POST, which the page's script
sends or the person's click.
"""

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.actors import Actor
from webapp.accounts.adapters import INVITED, invitation_under_way
from webapp.accounts.audit import AccountError
from webapp.accounts.forms import NewPasswordForm, SecretForm
from webapp.accounts.links import SPENT_INVITATION, SPENT_LINK, invitation_accept, one_time_link_spend
from webapp.accounts.models import OneTimeLink
from webapp.accounts.selectors import one_time_link_user, valid_invitation
from webapp.accounts.services import user_password_set
from webapp.common.access import actor_of, public, signed_in
from webapp.common.client import client_address, is_on_this_machine

Purpose = OneTimeLink.Purpose


@public
@never_cache
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest) -> HttpResponse:
    """Where an invitation's link leads: take its code, and show whose team it is for."""
    form = SecretForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        found = valid_invitation(secret=form.cleaned_data["secret"])
        if found is not None:
            request.session[INVITED] = str(found.pk)
            return redirect("invitation-answer")
        form.add_error("secret", SPENT_INVITATION)
    return render(request, "accounts/invitation.html", {"form": form}, status=400 if form.errors else 200)


@public
@never_cache
def invitation_answer(request: HttpRequest) -> HttpResponse:
    """What the person was invited to; they join, or sign in or up first."""
    found = invitation_under_way(request)
    if found is None:
        request.session.pop(INVITED, None)
        return render(request, "accounts/invitation_over.html", {"text": SPENT_INVITATION}, status=410)
    here = reverse("invitation-answer")
    links = {"sign_in": f"{reverse('account_login')}?next={here}", "sign_up": reverse("account_signup")}
    return render(request, "accounts/invitation_answer.html", {"invitation": found, **links})


@signed_in
@require_POST
def invitation_join(request: HttpRequest) -> HttpResponse:
    """Join the team."""
    found = invitation_under_way(request)
    if found is None:
        return redirect("invitation-answer")
    try:
        membership = invitation_accept(actor=actor_of(request), invitation=found)
    except AccountError as error:
        return render(request, "accounts/invitation_over.html", {"text": str(error)}, status=409)
    request.session.pop(INVITED, None)
    messages.success(request, f"You are in {membership.team} now, as {membership.get_role_display().lower()}.")
    return redirect("team-members", team_slug=membership.team.slug)


@public
@never_cache
@sensitive_post_parameters("secret")
@require_http_methods(["GET", "POST"])
def one_time_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by the link that `meds3 up` printed: on this machine only, where the settings allow it."""
    if not settings.ALLOW_ONE_TIME_SIGN_IN or not is_on_this_machine(request):
        raise Http404("There is nothing here.")
    form = SecretForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = one_time_link_spend(
                secret=form.cleaned_data["secret"], purpose=Purpose.SIGN_IN, address=client_address(request)
            )
        except AccountError as error:
            form.add_error("secret", str(error))
        else:
            record_authentication(request, user, method="one_time_link")
            return perform_login(request, Login(user=user))  # still asks for the second factor
    return render(request, "accounts/one_time_sign_in.html", {"form": form}, status=400 if form.errors else 200)


@public
@never_cache
@sensitive_post_parameters("secret", "password1", "password2")
@require_http_methods(["GET", "POST"])
def new_password(request: HttpRequest) -> HttpResponse:
    """Set a new password by the link that `meds3 user reset` printed."""
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        secret = form.cleaned_data["secret"]
        user = one_time_link_user(secret=secret, purpose=Purpose.RESET)
        if user is None:
            form.add_error("secret", SPENT_LINK)
        elif form.check_password(user):  # before the link is spent: a weak password may be tried again
            try:
                address = client_address(request)
                one_time_link_spend(secret=secret, purpose=Purpose.RESET, address=address)
                user_password_set(
                    actor=Actor(user, address=address), user=user, password=form.cleaned_data["password1"]
                )
            except AccountError as error:
                form.add_error("secret", str(error))
            else:
                messages.success(request, "Your new password is set. Sign in with it.")
                return redirect("account_login")
    return render(request, "accounts/new_password.html", {"form": form}, status=400 if form.errors else 200)
