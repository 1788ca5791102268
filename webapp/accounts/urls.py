"""URLs of accounts: those of the instance, and those inside a team."""

from django.urls import path

from webapp.accounts import views

instance = [
    path("invitations/<str:secret>/", views.invitation, name="invitation"),
]

team = [
    path("members/", views.members, name="team-members"),
]
