"""`manage.py text_index`: makes the index of questions' texts where the database could not have it before."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from webapp.datasets.search import index_create


class Command(BaseCommand):
    """Makes the index, of all questions that there are."""

    help = "Make the index of questions' texts (FTS5 on SQLite, pg_trgm on PostgreSQL)."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Make it, or say that this database cannot have it."""
        if not index_create(connection):
            raise CommandError("This database cannot have it: SQLite needs FTS5, PostgreSQL the extension pg_trgm.")
        self.stdout.write("Questions are searched by their index now.")
