"""The index of questions' texts: FTS5 with trigrams on SQLite, pg_trgm on PostgreSQL (webapp.datasets.search).

Where the database cannot have it (an SQLite without FTS5; a PostgreSQL without the extension, or a user who may not
create it) searching works without, slower on large datasets. An administrator makes up for it later with
`CREATE EXTENSION pg_trgm` and `manage.py text_index`.
"""

from django.db import migrations

from webapp.datasets.search import index_create, index_drop


def forwards(apps, schema_editor):
    index_create(schema_editor.connection)


def backwards(apps, schema_editor):
    index_drop(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0001_initial'),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
