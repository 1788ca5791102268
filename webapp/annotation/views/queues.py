"""Queues: the list, one queue, a new one with its preview, filling, and what managers change."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from meds3core.errors import UserError
from meds3core.judgements.items import ItemMode
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.accounts.selectors import members_of
from webapp.annotation import queues, selectors
from webapp.annotation.filling import (
    FillingPreview,
    filling_preview,
    filling_submit,
    flags_fill,
    flags_preview,
    is_waited_for,
    queue_fill,
)
from webapp.annotation.forms import (
    ExampleFormSet,
    InstructionsForm,
    PeopleForm,
    SourceForm,
    free_name,
    rule_rows,
    rules_form,
    settings_form,
    source_choices,
)
from webapp.annotation.models import AnnotationQueue, Filling, QueueMember
from webapp.annotation.progress import my_progress, people_progress, queue_progress, queues_progress
from webapp.common.access import actor_of, team_page
from webapp.common.paging import page_of
from webapp.common.spec_forms import SpecForm
from webapp.jobs.dispatch import QueueUnreachable

FILLINGS = 20


@team_page(Action.QUEUE_VIEW)
@require_GET
def queue_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's queues, newest first, with how far they are and how far the person is."""
    page = page_of(selectors.queues_of(team=team), request.GET)
    role = request.membership.role
    mine = my_progress(actor=actor_of(request), queues=page.rows)
    progress = queues_progress(queues=[each.pk for each in page.rows]) if may(role, Action.ITEM_REVIEW) else {}
    context = {
        "team": team,
        "page": page,
        "rows": [(queue, progress.get(queue.pk), mine[queue.pk]) for queue in page.rows],
        "may_change": may(role, Action.QUEUE_CHANGE),
        "may_review": may(role, Action.ITEM_REVIEW),
        "may_judge": may(role, Action.ITEM_JUDGE),
    }
    return render(request, "annotation/queue_list.html", context)


@team_page(Action.QUEUE_VIEW)
@require_GET
def queue(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """One queue: to annotators its instructions and their own progress, to others all of it."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    role = request.membership.role
    versions = selectors.instructions_of(queue=found)
    context: dict[str, Any] = {
        "team": team,
        "queue": found,
        "mine": my_progress(actor=actor_of(request), queues=[found])[found.pk],
        "instructions": versions[0] if versions else None,
        "may_judge": may(role, Action.ITEM_JUDGE),
        "may_review": may(role, Action.ITEM_REVIEW),
        "may_change": may(role, Action.QUEUE_CHANGE),
    }
    if context["may_review"]:
        people = people_progress(queue=found)
        context |= {
            "progress": queue_progress(queue=found, people=people),
            "people": people,
            "fillings": selectors.fillings_of(queue=found)[:FILLINGS],
            "filling_jobs": selectors.filling_jobs(queue=found),
            "versions": versions,
        }
    return render(request, "annotation/queue.html", context)


@team_page(Action.QUEUE_CHANGE)
@require_http_methods(["GET", "POST"])
def queue_create(request: HttpRequest, team: Team) -> HttpResponse:
    """A new queue, filled at once from what was chosen. `?from=search:<id>` chooses it beforehand."""
    chosen = request.GET.get("from", "")
    data = request.POST if request.method == "POST" else None
    source = SourceForm(data, team=team, chosen=chosen)
    form = settings_form(data, name=free_name(team=team, wanted=_suggested(team, chosen)))
    context = {"team": team, "choices": source_choices(team=team)}
    if data is not None and "preview" not in data and form.is_valid() and source.is_valid():
        try:
            made = queues.queue_create(actor=actor_of(request), team=team, settings=form.spec)
        except queues.QueueError as error:
            form.add_error("name", str(error))
        else:
            _fill(request, made, source, form)
            return redirect("queue", team.slug, made.pk)
    context |= _form(team, form, source, preview_of=_asks_preview(data))
    return render(request, "annotation/queue_create.html", context)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def queue_preview(request: HttpRequest, team: Team) -> HttpResponse:
    """How many items each rule would add: the part of the form that says so. With `queue`: to that queue."""
    known = _known(team, request.POST.get("queue", ""))
    source = SourceForm(request.POST, team=team)
    context = _form(team, _rules_form(request.POST, known), source, preview_of=request.POST, known=known)
    return render(request, "annotation/parts/preview.html", {"team": team, **context})


@team_page(Action.QUEUE_CHANGE)
@require_http_methods(["GET", "POST"])
def queue_more(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Put more steps into a queue."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    data = request.POST if request.method == "POST" else None
    source = SourceForm(data, team=team, chosen=request.GET.get("from", ""))
    form = _rules_form(data, found)
    if data is not None and "preview" not in data and form.is_valid() and source.is_valid():
        _fill(request, found, source, form)
        return redirect("queue", team.slug, found.pk)
    context = {"team": team, "queue": found, "choices": source_choices(team=team)}
    context |= _form(team, form, source, preview_of=_asks_preview(data), known=found)
    return render(request, "annotation/queue_fill.html", context)


@team_page(Action.QUEUE_CHANGE)
@require_http_methods(["GET", "POST"])
def queue_settings(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """How a queue works, and who may judge in it."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    data = request.POST if request.method == "POST" else None
    form = settings_form(data, start=queues.settings_of(queue=found))
    able = [each for each in members_of(team=team) if may(each.role, Action.ITEM_JUDGE)]
    named = QueueMember.objects.filter(queue=found, is_named=True).values_list("user", flat=True)
    people = PeopleForm(
        data,
        choices=[(str(each.user_id), f"{each.user} ({each.get_role_display()})") for each in able],
        chosen=[str(each) for each in named],
    )
    if data is not None and form.is_valid() and people.is_valid():
        try:
            queues.queue_change(actor=actor_of(request), queue=found, settings=form.spec)
            chosen = [uuid.UUID(each) for each in people.cleaned_data["people"]]
            queues.members_set(actor=actor_of(request), queue=found, users=chosen)
        except queues.QueueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The settings are saved.")
            return redirect("queue", team.slug, found.pk)
    context = {"team": team, "queue": found, "form": form, "people": people, "rules": rule_rows(form)}
    context["most_per_question"] = form["rules.most_per_question"]
    return render(request, "annotation/queue_settings.html", context)


@team_page(Action.QUEUE_CHANGE)
@require_http_methods(["GET", "POST"])
def queue_instructions(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """A new version of the instructions, beginning with the newest; earlier ones are listed."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    versions = selectors.instructions_of(queue=found)
    newest = versions[0] if versions else None
    data = request.POST if request.method == "POST" else None
    form = InstructionsForm(data, initial={"text": newest.text if newest else queues.DEFAULT_INSTRUCTIONS})
    examples = ExampleFormSet(data, prefix="example", initial=newest.examples if newest else [])
    if data is not None and form.is_valid() and examples.is_valid():
        said = [each.cleaned_data for each in examples if each.cleaned_data and not each.cleaned_data.get("DELETE")]
        queues.instructions_write(
            actor=actor_of(request),
            queue=found,
            text=form.cleaned_data["text"],
            examples=[queues.Example(**{name: each[name] for name in queues.Example.model_fields}) for each in said],
        )
        messages.success(request, "The new version is shown to everybody before their next step.")
        return redirect("queue", team.slug, found.pk)
    context = {"team": team, "queue": found, "form": form, "examples": examples, "versions": versions}
    context["next_number"] = newest.number + 1 if newest else 1
    return render(request, "annotation/queue_instructions.html", context)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def queue_close(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Hand out nothing more."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    queues.queue_close(actor=actor_of(request), queue=found)
    return redirect("queue", team.slug, found.pk)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def queue_reopen(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Hand out items again."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    queues.queue_reopen(actor=actor_of(request), queue=found)
    return redirect("queue", team.slug, found.pk)


@team_page(Action.QUEUE_CHANGE)
@require_POST
def queue_delete(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Remove a closed queue with everything said in it."""
    found = selectors.queue_of(team=team, queue_id=queue_id)
    try:
        queues.queue_delete(actor=actor_of(request), queue=found)
    except queues.QueueError as error:
        messages.error(request, str(error))
        return redirect("queue", team.slug, found.pk)
    messages.success(request, f"{found.name} is deleted.")
    return redirect("queue-list", team.slug)


def _suggested(team: Team, chosen: str) -> str:
    for _, group in source_choices(team=team) if chosen else ():
        for value, label in group:
            if value.startswith(chosen):
                return f"Steps of {label}"
    return "Steps to judge"


def _asks_preview(data: Any) -> Any:
    """The form's data where its preview was asked for: without script it has a button of its own."""
    return data if data is not None and "preview" in data else None


def _known(team: Team, text: str) -> AnnotationQueue | None:
    if not text:
        return None
    try:
        return selectors.queue_of(team=team, queue_id=uuid.UUID(text))
    except ValueError:
        return None


def _rules_form(data: Any, known: AnnotationQueue | None) -> SpecForm:
    """The rules of a filling; what else a queue has of settings stays as it is."""
    return rules_form(data, start=queues.settings_of(queue=known) if known else queues.QueueSettings(name="new"))


def _form(
    team: Team, form: SpecForm, source: SourceForm, *, preview_of: Any = None, known: AnnotationQueue | None = None
) -> dict[str, Any]:
    preview, trouble = None, ""
    if preview_of is not None:
        rules = _rules_form(preview_of, known)
        if not source.is_valid() or not rules.is_valid():
            trouble = "Choose where the steps come from, and give every rule a share that is a number."
        else:
            try:
                preview = _preview(team, source, rules, _mode(preview_of.get("mode")), known)
            except UserError as error:
                trouble = str(error)
    return {
        "form": form,
        "source": source,
        "rules": rule_rows(form, preview),
        "most_per_question": form["rules.most_per_question"],
        "preview": preview,
        "trouble": trouble,
        "known": known,
    }


def _mode(text: Any) -> ItemMode:
    return ItemMode(text) if text in set(ItemMode) else ItemMode.STEP


def _preview(
    team: Team, source: SourceForm, rules: SpecForm, mode: ItemMode, known: AnnotationQueue | None
) -> FillingPreview:
    if source.wants_flags:
        return flags_preview(team=team, queue=known)
    return filling_preview(
        team=team,
        source=source.source_of(),
        rules=rules.spec.rules,
        items=source.cleaned_data["items"],
        mode=ItemMode(known.mode) if known else mode,
        queue=known,
    )


def _fill(request: HttpRequest, found: AnnotationQueue, source: SourceForm, form: SpecForm) -> None:
    """Fill it and say what came of it."""
    try:
        filling = _filled(actor_of(request), found, source, form)
    except (UserError, QueueUnreachable) as error:
        messages.error(request, str(error))
        return
    if filling is None:
        messages.success(request, "There is much to look at: a job chooses the steps, and they come in as it goes.")
        return
    was = f", {filling.known} were in it already" if filling.known else ""
    messages.success(request, f"{filling.added} item{'' if filling.added == 1 else 's'} added{was}.")


def _filled(actor: Actor, found: AnnotationQueue, source: SourceForm, form: SpecForm) -> Filling | None:
    """The filling; None: a job does it."""
    if source.wants_flags:
        return flags_fill(actor=actor, queue=found)
    wanted = {"source": source.source_of(), "items": source.cleaned_data["items"]}
    if not is_waited_for(**wanted):
        filling_submit(actor=actor, queue=found, rules=form.spec.rules, **wanted)
        return None
    return queue_fill(actor=actor, queue=found, rules=form.spec.rules, **wanted)
