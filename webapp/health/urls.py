"""URLs that machines ask."""

from django.urls import path

from webapp.health import views

instance = [
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
]
