"""URLs of evaluations inside a team."""

from django.urls import path

from webapp.evaluations import views

team = [
    path("evaluations/", views.evaluation_list, name="evaluation-list"),
    path("evaluations/new/", views.evaluation_create, name="evaluation-create"),
    path("evaluations/<uuid:evaluation_id>/", views.evaluation_page, name="evaluation"),
    path("evaluations/<uuid:evaluation_id>/answers/", views.evaluation_answers, name="evaluation-answers"),
    path("evaluations/<uuid:evaluation_id>/files/<slug:which>/", views.evaluation_file, name="evaluation-file"),
    path("evaluations/<uuid:evaluation_id>/delete/", views.evaluation_delete, name="evaluation-delete"),
]
