"""URLs of searches and trees inside a team."""

from django.urls import URLPattern

team: list[URLPattern] = []
