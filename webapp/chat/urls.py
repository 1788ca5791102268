"""URLs of conversations inside a team."""

from django.urls import path

from webapp.chat.views import answers, conversations, duels, trees

team = [
    path("chat/", conversations.conversations, name="chat-list"),
    path("chat/new/", conversations.create, name="chat-create"),
    path("chat/with/<uuid:model_id>/", conversations.with_model, name="chat-with"),
    path("chat/retention/", conversations.retention, name="chat-retention"),
    path("chat/left-behind/delete/", conversations.left_behind_delete, name="chat-left-delete"),
    path("chat/comparisons/", duels.comparisons, name="chat-duels"),
    path("chat/comparisons/new/", duels.create, name="chat-duel-create"),
    path("chat/comparisons/<uuid:duel_id>/", duels.comparison, name="chat-duel"),
    path("chat/comparisons/<uuid:duel_id>/rounds/", duels.rounds, name="chat-duel-rounds"),
    path("chat/comparisons/<uuid:duel_id>/say/", duels.say, name="chat-duel-say"),
    path("chat/comparisons/<uuid:duel_id>/stop/", duels.stop, name="chat-duel-stop"),
    path("chat/comparisons/<uuid:duel_id>/vote/", duels.vote, name="chat-duel-vote"),
    path("chat/comparisons/<uuid:duel_id>/delete/", duels.delete, name="chat-duel-delete"),
    path("chat/<uuid:conversation_id>/", conversations.conversation, name="chat"),
    path("chat/<uuid:conversation_id>/thread/", conversations.thread, name="chat-thread"),
    path("chat/<uuid:conversation_id>/say/", conversations.say, name="chat-say"),
    path("chat/<uuid:conversation_id>/settings/", conversations.change, name="chat-change"),
    path("chat/<uuid:conversation_id>/rename/", conversations.rename, name="chat-rename"),
    path("chat/<uuid:conversation_id>/share/", conversations.share, name="chat-share"),
    path("chat/<uuid:conversation_id>/delete/", conversations.delete, name="chat-delete"),
    path("chat/<uuid:conversation_id>/export.md", conversations.export_markdown, name="chat-markdown"),
    path("chat/<uuid:conversation_id>/export.json", conversations.export_json, name="chat-json"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/stop/", answers.stop, name="chat-stop"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/again/", answers.again, name="chat-again"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/branch/", answers.branch, name="chat-branch"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/continue/", answers.go_on, name="chat-continue"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/rate/", answers.rate, name="chat-rate"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/judge/", answers.judge, name="chat-judge"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/show/", answers.choose, name="chat-choose"),
    path("chat/<uuid:conversation_id>/messages/<uuid:message_id>/tree/", trees.message_tree, name="chat-tree"),
    path(
        "chat/<uuid:conversation_id>/messages/<uuid:message_id>/tree/drawing/",
        trees.message_tree_drawing,
        name="chat-tree-drawing",
    ),
]
