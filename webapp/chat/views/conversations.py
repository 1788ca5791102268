"""Pages of conversations. One's own are written in; those that others shared are read."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.chat import keeping, selectors, services, showing
from webapp.chat.forms import RetentionForm, SettingsForm
from webapp.chat.matching import scorer_for
from webapp.chat.texts import said
from webapp.chat.views.parts import (
    after,
    as_file,
    begun,
    id_of,
    own_conversation,
    owns,
    thread_context,
    to_conversation,
)
from webapp.common.access import actor_of, team_page
from webapp.registry.selectors import model_of

SEARCH_LENGTH = 200


@team_page(Action.CHAT_USE)
@require_http_methods(["GET", "HEAD", "POST"])
def conversations(request: HttpRequest, team: Team) -> HttpResponse:
    """The person's conversations, or those shared with them. What is searched for never stands in the address."""
    return _list(request, team, SettingsForm(team, initial=_wanted(team, request)))


def _list(request: HttpRequest, team: Team, form: SettingsForm, status: int = 200) -> HttpResponse:
    words = said(request.POST.get("words", "")[:SEARCH_LENGTH]).strip()
    shared = (request.POST.get("shared") or request.GET.get("shared")) == "1"
    keeps = owns(request)
    context = {
        "team": team,
        "conversations": selectors.conversations_for(user=request.user, team=team, words=words, shared=shared)[:100],
        "words": words,
        "shared": shared,
        "form": form,
        "may_keep": keeps,
        "retention": RetentionForm(initial={"days": selectors.retention_of(team=team)}) if keeps else None,
        "left_behind": keeping.left_behind(team=team) if keeps else None,
        "former_days": settings.CHAT_FORMER_DAYS,
    }
    return render(request, "chat/list.html", context, status=status)


def _wanted(team: Team, request: HttpRequest) -> dict[str, str]:
    """The model that another page's link names, or the newest; and the reward model that goes with it."""
    named = request.GET.get("model", "")
    policies = list(selectors.policies_of(team=team)[:200])
    policy = next((row for row in policies if str(row.pk) == named), None) or next(iter(policies), None)
    if policy is None:
        return {}
    scorer = scorer_for(team=team, policy=policy)
    return {"model": f"model:{policy.pk}", "scorer": str(scorer.pk) if scorer else ""}


@team_page(Action.CHAT_USE)
@require_POST
def with_model(request: HttpRequest, team: Team, model_id: UUID) -> HttpResponse:
    """Begin one with this model and the settings that go with it; one that is still empty is gone on with."""
    policy = model_of(team=team, model_id=model_id)
    empty = selectors.conversations_for(user=request.user, team=team).filter(policy=policy, leaf=None, messages=None)
    found = empty.first()
    if found is None:
        try:
            found = services.conversation_create(
                actor=actor_of(request), team=team, policy=policy, scorer=scorer_for(team=team, policy=policy)
            )
        except UserError as error:
            messages.error(request, str(error))
            return redirect("model", team_slug=team.slug, model_id=model_id)
    return to_conversation(team, found)


@team_page(Action.CHAT_USE)
@require_POST
def create(request: HttpRequest, team: Team) -> HttpResponse:
    """Begin one."""
    form = SettingsForm(team, request.POST)
    made = begun(
        form,
        lambda: services.conversation_create(
            actor=actor_of(request),
            team=team,
            policy=form.chosen_policy,
            endpoint=form.chosen_endpoint,
            scorer=form.chosen_scorer,
            config=form.chosen_config,
        ),
    )
    return _list(request, team, form, 400) if made is None else to_conversation(team, made)


@team_page(Action.CHAT_USE)
@require_GET
def conversation(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """One conversation."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    context = thread_context(request, team, found)
    context["form"] = SettingsForm.of(found) if context["own"] else None
    return render(request, "chat/conversation.html", context)


@team_page(Action.CHAT_USE)
@require_GET
def thread(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """The branch that is shown, as a part of the page."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    return render(request, "chat/parts/thread.html", thread_context(request, team, found))


@team_page(Action.CHAT_USE)
@require_POST
def say(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """Say something at the end of the branch, or instead of an earlier question."""
    found = own_conversation(request, team, conversation_id)
    error = ""
    try:
        parent = request.POST.get("parent", "")
        above = selectors.message_of(conversation=found, message_id=id_of(parent)) if parent else None
        services.turn_ask(conversation=found, text=request.POST.get("text", ""), parent=above)
    except UserError as refused:
        error = str(refused)
    return after(request, team, found, error)


@team_page(Action.CHAT_USE)
@require_POST
def change(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """Another model or another way to answer, from the next question on."""
    found = own_conversation(request, team, conversation_id)
    form = SettingsForm.of(found, request.POST)
    try:
        if not form.is_valid():
            raise services.ChatError("; ".join(f"{name}: {' '.join(said)}" for name, said in form.errors.items()))
        services.conversation_set(
            conversation=found,
            policy=form.chosen_policy,
            endpoint=form.chosen_endpoint,
            scorer=form.chosen_scorer,
            config=form.chosen_config,
        )
        messages.success(request, "Saved. It counts from the next question on.")
    except UserError as error:
        messages.error(request, str(error))
    return to_conversation(team, found)


@team_page(Action.CHAT_USE)
@require_POST
def rename(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """Another title."""
    found = own_conversation(request, team, conversation_id)
    services.conversation_rename(conversation=found, title=request.POST.get("title", ""))
    return to_conversation(team, found)


@team_page(Action.CHAT_USE)
@require_POST
def share(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """Let the team read it, or no longer."""
    found = own_conversation(request, team, conversation_id)
    shared = request.POST.get("shared") == "1"
    services.conversation_share(actor=actor_of(request), conversation=found, shared=shared)
    messages.success(request, f"{team} can read it now." if shared else "Only you can read it now.")
    return to_conversation(team, found)


@team_page(Action.CHAT_USE)
@require_POST
def delete(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """Forget it."""
    found = selectors.conversation_to_delete(
        user=request.user, team=team, conversation_id=conversation_id, is_owner=owns(request)
    )
    services.conversation_delete(actor=actor_of(request), conversation=found)
    messages.success(request, "The conversation is deleted.")
    return redirect("chat-list", team_slug=team.slug)


@team_page(Action.CHAT_USE)
@require_GET
def export_markdown(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """The branch that is shown, as Markdown."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    return as_file(found, showing.as_markdown(found), "md", "text/markdown")


@team_page(Action.CHAT_USE)
@require_GET
def export_json(request: HttpRequest, team: Team, conversation_id: UUID) -> HttpResponse:
    """All branches, as JSON."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    return as_file(found, showing.as_json(found), "json", "application/json")


@team_page(Action.TEAM_OWN)
@require_POST
def retention(request: HttpRequest, team: Team) -> HttpResponse:
    """For how long the team keeps conversations."""
    form = RetentionForm(request.POST)
    if form.is_valid():
        keeping.retention_set(actor=actor_of(request), team=team, days=form.cleaned_data["days"])
        messages.success(request, "Saved.")
    else:
        messages.error(request, "Give a number of days, or nothing.")
    if not may(request.membership.role, Action.CHAT_USE):  # type: ignore[attr-defined]
        raise PermissionDenied
    return redirect("chat-list", team_slug=team.slug)


@team_page(Action.TEAM_OWN)
@require_POST
def left_behind_delete(request: HttpRequest, team: Team) -> HttpResponse:
    """Delete at once what people who left have left behind in private."""
    count = keeping.left_behind_delete(actor=actor_of(request), team=team)
    messages.success(request, "What they left behind is deleted." if count else "There was nothing left behind.")
    return redirect("chat-list", team_slug=team.slug)
