"""URLs of models, label sets and remote engines inside a team."""

from django.urls import URLPattern

team: list[URLPattern] = []
