"""URLs of training inside a team."""

from django.urls import path

from webapp.training.views import forms, previews, runs

team = [
    path("training/", runs.training_list, name="training-list"),
    path("training/compare/", runs.training_compare, name="training-compare"),
    path("training/new/<slug:method>/", forms.training_create, name="training-create"),
    path("training/new/<slug:method>/preview/", previews.training_preview_create, name="training-preview-create"),
    path("training/previews/<uuid:preview_id>/", previews.training_preview, name="training-preview"),
    path("training/runs/<uuid:run_id>/", runs.training_run, name="training-run"),
    path("training/runs/<uuid:run_id>/preview/", previews.training_run_preview, name="training-run-preview"),
]
