"""The page that brings judgements made elsewhere into a queue: a file is sent, then a job reads it."""

import uuid

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from meds3core.errors import UserError
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.annotation.imports import import_submit, sources_of
from webapp.annotation.selectors import queue_of
from webapp.common.access import actor_of, team_page
from webapp.jobs.dispatch import QueueUnreachable
from webapp.uploads.selectors import upload_of

FORMS = (
    ("", "Told from its lines"),
    ("jsonl", "JSONL, as written here"),
    ("prm800k", "PRM800K"),
    ("label-studio", "Label Studio export (JSON, JSON_MIN)"),
)


class JudgementsForm(forms.Form):
    """The file was sent by the page's script."""

    upload = forms.UUIDField(widget=forms.HiddenInput, error_messages={"required": "Choose a file first."})
    form = forms.ChoiceField(label="Form of the file", choices=FORMS, required=False)
    source = forms.CharField(
        label="Where it was judged",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"list": "sources", "placeholder": "The file's name"}),
        help_text="The same name in files of one place is one person; in files of different places, different people.",
    )


@team_page(Action.QUEUE_CHANGE)
def judgement_import(request: HttpRequest, team: Team, queue_id: uuid.UUID) -> HttpResponse:
    """Send a file of judgements; once it is here, have it read into the queue."""
    queue = queue_of(team=team, queue_id=queue_id)
    form = JudgementsForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            upload = upload_of(team=team, upload_id=form.cleaned_data["upload"])
            job = import_submit(
                actor=actor_of(request),
                queue=queue,
                upload=upload,
                form=form.cleaned_data["form"] or None,
                source=form.cleaned_data["source"],
            )
            return redirect("job", team.slug, job.pk)
        except QueueUnreachable as error:  # it is stored and starts later
            messages.warning(request, str(error))
            return redirect("job-list", team.slug)
        except Http404:
            form.add_error(None, "The file was removed. Send it again.")
        except UserError as error:
            form.add_error(None, str(error))
    context = {"team": team, "queue": queue, "form": form, "sources": sources_of(queue=queue)}
    return render(request, "uploads/judgements.html", context, status=400 if form.errors else 200)
