"""URLs of evaluations inside a team."""

from django.urls import URLPattern

team: list[URLPattern] = []
