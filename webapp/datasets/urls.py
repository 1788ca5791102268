"""URLs of datasets, versions and questions inside a team."""

from django.urls import URLPattern

team: list[URLPattern] = []
