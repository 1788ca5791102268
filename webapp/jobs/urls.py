"""URLs of jobs: those of the instance, and those inside a team."""

from django.urls import URLPattern

instance: list[URLPattern] = []

team: list[URLPattern] = []
