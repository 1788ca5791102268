"""URLs of what people say about steps, inside a team."""

from django.urls import path

from webapp.annotation.views import flags, outcome, queues, review, work

team = [
    path("trees/<uuid:tree_id>/nodes/<int:node>/flag/", flags.step_flag, name="step-flag"),
    path("evaluations/<uuid:evaluation_id>/questions/<int:position>/flag/", flags.answer_flag, name="answer-flag"),
    path("flags/<uuid:flag_id>/withdraw/", flags.flag_withdraw, name="flag-withdraw"),
    path("flags/<uuid:flag_id>/send/", flags.flag_send, name="flag-send"),
    path("queues/", queues.queue_list, name="queue-list"),
    path("queues/new/", queues.queue_create, name="queue-create"),
    path("queues/preview/", queues.queue_preview, name="queue-preview"),
    path("queues/<uuid:queue_id>/", queues.queue, name="queue"),
    path("queues/<uuid:queue_id>/fill/", queues.queue_more, name="queue-fill"),
    path("queues/<uuid:queue_id>/settings/", queues.queue_settings, name="queue-settings"),
    path("queues/<uuid:queue_id>/instructions/", queues.queue_instructions, name="queue-instructions"),
    path("queues/<uuid:queue_id>/close/", queues.queue_close, name="queue-close"),
    path("queues/<uuid:queue_id>/reopen/", queues.queue_reopen, name="queue-reopen"),
    path("queues/<uuid:queue_id>/delete/", queues.queue_delete, name="queue-delete"),
    path("queues/<uuid:queue_id>/work/", work.queue_work, name="queue-work"),
    path("queues/<uuid:queue_id>/work/next/", work.work_next, name="work-next"),
    path("queues/<uuid:queue_id>/work/instructions/", work.work_instructions, name="work-instructions"),
    path("queue-items/<uuid:item_id>/work/<slug:act>/", work.item_act, name="item-act"),
    path("queues/<uuid:queue_id>/review/", review.queue_review, name="queue-review"),
    path("queue-items/<uuid:item_id>/", review.queue_item, name="queue-item"),
    path("queue-items/<uuid:item_id>/decide/", review.item_decide, name="item-decide"),
    path("queue-items/<uuid:item_id>/<slug:ask>/", review.item_change, name="item-change"),
    path("queues/<uuid:queue_id>/agreement/", outcome.queue_agreement, name="queue-agreement"),
    path("queues/<uuid:queue_id>/labels/", outcome.queue_labels, name="queue-labels"),
    path("queues/<uuid:queue_id>/labels/preview/", outcome.queue_labels_preview, name="queue-labels-preview"),
    path("queues/<uuid:queue_id>/labels/make/", outcome.queue_labels_make, name="queue-labels-make"),
]
