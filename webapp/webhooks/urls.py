"""URLs of webhooks inside a team."""

from django.urls import path

from webapp.webhooks import views

team = [
    path("webhooks/", views.webhooks, name="team-webhooks"),
    path("webhooks/<uuid:webhook_id>/", views.webhook, name="team-webhook"),
    path("webhooks/<uuid:webhook_id>/switch/", views.switch, name="team-webhook-switch"),
    path("webhooks/<uuid:webhook_id>/secret/", views.renew, name="team-webhook-secret"),
    path("webhooks/<uuid:webhook_id>/trial/", views.send_trial, name="team-webhook-trial"),
    path("webhooks/<uuid:webhook_id>/delete/", views.delete, name="team-webhook-delete"),
    path("webhooks/deliveries/<uuid:delivery_id>/again/", views.deliver_again, name="team-webhook-again"),
]
