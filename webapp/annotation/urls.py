"""URLs of what people say about steps, inside a team."""

from django.urls import path

from webapp.annotation import views

team = [
    path("trees/<uuid:tree_id>/nodes/<int:node>/flag/", views.step_flag, name="step-flag"),
    path("flags/<uuid:flag_id>/withdraw/", views.flag_withdraw, name="flag-withdraw"),
]
