"""URLs of training inside a team."""

from django.urls import path

from webapp.training.views import forms, judged, previews, runs

team = [
    path("training/", runs.training_list, name="training-list"),
    path("training/compare/", runs.training_compare, name="training-compare"),
    path("training/new/<slug:method>/", forms.training_create, name="training-create"),
    path("training/new/<slug:method>/preview/", previews.training_preview_create, name="training-preview-create"),
    path("training/previews/<uuid:preview_id>/", previews.training_preview, name="training-preview"),
    path("labels/judged/new/", judged.judged_labels_create, name="judged-labels-create"),
    path("labels/<uuid:label_set_id>/retrain/", judged.prm_retrain, name="prm-retrain"),
    path("training/runs/<uuid:run_id>/", runs.training_run, name="training-run"),
    path("training/runs/<uuid:run_id>/preview/", previews.training_run_preview, name="training-run-preview"),
]
