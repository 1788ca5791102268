"""URLs of evolutions inside a team."""

from django.urls import path

from webapp.evolution.views import pages, restart

team = [
    path("evolutions/", pages.evolution_list, name="evolution-list"),
    path("evolutions/<uuid:evolution_id>/", pages.evolution, name="evolution"),
    path("evolutions/<uuid:evolution_id>/parts/", pages.evolution_parts, name="evolution-parts"),
    path("evolutions/<uuid:evolution_id>/stages/<slug:stage>/", pages.evolution_stage, name="evolution-stage"),
    path("evolutions/<uuid:evolution_id>/changes/", pages.evolution_changes, name="evolution-changes"),
    path("evolutions/<uuid:evolution_id>/report/", pages.evolution_report, name="evolution-report"),
    path("evolutions/<uuid:evolution_id>/restart/", restart.evolution_restart, name="evolution-restart"),
]
