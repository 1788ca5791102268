"""Pages of comparisons: two models side by side, the votes, and the team's ranking."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.chat import duels, selectors
from webapp.chat.forms import DuelForm
from webapp.chat.matching import examples_for, scorer_for
from webapp.chat.models import Duel, DuelVote
from webapp.chat.views.parts import begun
from webapp.common.access import actor_of, team_page


@team_page(Action.CHAT_USE)
@require_GET
def comparisons(request: HttpRequest, team: Team) -> HttpResponse:
    """The ranking, one's own comparisons, and the form of another one."""
    named = request.GET.get("model", "")
    policies = list(selectors.policies_of(team=team)[:200])
    first = next((row for row in policies if str(row.pk) == named), None) or next(iter(policies), None)
    initial = {}
    if first is not None:
        scorer = scorer_for(team=team, policy=first)
        initial = {"model": f"model:{first.pk}", "scorer": str(scorer.pk) if scorer else ""}
        other = next((row for row in policies if row.pk != first.pk), None)
        initial |= {"other": f"model:{other.pk}"} if other else {}
    return _list(request, team, DuelForm(team, initial=initial))


def _list(request: HttpRequest, team: Team, form: DuelForm, status: int = 200) -> HttpResponse:
    blind_only = request.GET.get("all") != "1"
    context = {
        "team": team,
        "form": form,
        "duels": duels.duels_for(user=request.user, team=team)[:100],
        "ranking": duels.ranking_of(team=team, blind_only=blind_only),
        "blind_only": blind_only,
    }
    return render(request, "chat/comparisons.html", context, status=status)


@team_page(Action.CHAT_USE)
@require_POST
def create(request: HttpRequest, team: Team) -> HttpResponse:
    """Begin one."""
    form = DuelForm(team, request.POST)
    made = begun(
        form,
        lambda: duels.duel_create(
            actor=actor_of(request),
            team=team,
            first=form.first,
            second=form.second,
            scorer=form.chosen_scorer,
            config=form.chosen_config,
            blind=form.cleaned_data["blind"],
        ),
    )
    return _list(request, team, form, 400) if made is None else to_duel(team, made.pk)


@team_page(Action.CHAT_USE)
@require_GET
def comparison(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """One comparison."""
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    return render(request, "chat/comparison.html", _context(team, found))


@team_page(Action.CHAT_USE)
@require_GET
def rounds(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """What was asked and answered, as a part of the page."""
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    return render(request, "chat/parts/rounds.html", _context(team, found))


@team_page(Action.CHAT_USE)
@require_POST
def say(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """Ask both."""
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    error = ""
    try:
        duels.duel_ask(duel=found, text=request.POST.get("text", ""))
    except UserError as refused:
        error = str(refused)
    return _after(request, team, duel_id, error)


@team_page(Action.CHAT_USE)
@require_POST
def stop(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """Have both answers end."""
    duels.duel_stop(duel=duels.duel_for(user=request.user, team=team, duel_id=duel_id))
    return _after(request, team, duel_id)


@team_page(Action.CHAT_USE)
@require_POST
def vote(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """Say which answer was better."""
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    error, turn = "", request.POST.get("turn", "")
    try:
        number = int(turn) if turn.isdecimal() and len(turn) < 7 else -1
        duels.duel_vote(actor=actor_of(request), duel=found, turn=number, verdict=request.POST.get("verdict", ""))
    except UserError as refused:
        error = str(refused)
    return _after(request, team, duel_id, error)


@team_page(Action.CHAT_USE)
@require_POST
def delete(request: HttpRequest, team: Team, duel_id: UUID) -> HttpResponse:
    """Forget it; its votes stay."""
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    duels.duel_delete(actor=actor_of(request), duel=found)
    messages.success(request, "The comparison is deleted. Its votes still count.")
    return redirect("chat-duels", team_slug=team.slug)


def _context(team: Team, found: Duel, error: str = "") -> dict[str, object]:
    shown = duels.rounds_of(found)
    hides = found.hides
    # Questions that one of the two was measured on do not say which of them it is.
    either = min(
        (side.policy for side in (found.left, found.right) if side.policy), key=lambda row: row.pk, default=None
    )
    examples = examples_for(team=team, policy=either) if not shown else []
    return {
        "team": team,
        "duel": found,
        "rounds": shown,
        "hides": hides,
        "is_answering": bool(shown) and not shown[-1].is_over,
        "verdicts": DuelVote.Verdict.choices,
        "examples": examples,
        "error": error,
    }


def _after(request: HttpRequest, team: Team, duel_id: UUID, error: str = "") -> HttpResponse:
    if not getattr(request, "htmx", False):
        if error:
            messages.error(request, error)
        return to_duel(team, duel_id)
    found = duels.duel_for(user=request.user, team=team, duel_id=duel_id)
    answer = render(request, "chat/parts/rounds.html", _context(team, found, error))
    if not error:
        answer["X-Chat-Asked"] = "1"
    return answer


def to_duel(team: Team, duel_id: UUID) -> HttpResponse:
    """Its page."""
    return redirect("chat-duel", team_slug=team.slug, duel_id=duel_id)
