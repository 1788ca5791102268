"""URLs of remote engines inside a team."""

from django.urls import path

from webapp.endpoints import views

team = [
    path("remote-engines/", views.endpoints, name="endpoint-list"),
    path("remote-engines/new/", views.create, name="endpoint-create"),
    path("remote-engines/<uuid:endpoint_id>/", views.change, name="endpoint"),
    path("remote-engines/<uuid:endpoint_id>/ask/", views.ask, name="endpoint-ask"),
    path("remote-engines/<uuid:endpoint_id>/delete/", views.delete, name="endpoint-delete"),
]
