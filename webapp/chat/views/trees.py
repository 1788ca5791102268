"""The tree that an answer by tree search was chosen from: drawn as every other tree, and as a table."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.chat import selectors
from webapp.chat.models import MessageTree
from webapp.common.access import team_page
from webapp.trees.drawing import record_columns
from webapp.trees.growing_steps import growing_rows
from webapp.trees.services import arena_read


@team_page(Action.CHAT_USE)
@require_GET
def message_tree(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """The page of the tree."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    kept = selectors.tree_of_message(conversation=found, message_id=message_id)
    record = selectors.tree_record(kept)
    context = {
        "team": team,
        "conversation": found,
        "message": kept.message,
        "question": record.question.text,
        "rows": growing_rows(snapshot=selectors.tree_snapshot(record)),
        "nodes": len(record.nodes) - 1,
        "reward_model": str(kept.message.scorer or "a reward model that was deleted"),
        "drawing_url": reverse("chat-tree-drawing", args=[team.slug, found.pk, message_id]),
        "number": 1,
    }
    return render(request, "chat/tree.html", context)


@team_page(Action.CHAT_USE)
@require_GET
@gzip_page
def message_tree_drawing(request: HttpRequest, team: Team, conversation_id: UUID, message_id: UUID) -> HttpResponse:
    """Its columns."""
    found = selectors.conversation_for(user=request.user, team=team, conversation_id=conversation_id)
    kept: MessageTree = selectors.tree_of_message(conversation=found, message_id=message_id)
    answer = JsonResponse(record_columns(line=arena_read(bytes(kept.arena))))
    answer["Cache-Control"] = "private, no-cache"
    return answer
