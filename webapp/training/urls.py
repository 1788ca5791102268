"""URLs of training inside a team."""

from django.urls import path

from webapp.training import views

team = [
    path("training/", views.training_list, name="training-list"),
    path("training/new/<slug:method>/", views.training_create, name="training-create"),
]
