"""Many rows at once, by the fastest way that each database has: COPY on PostgreSQL, one prepared statement on SQLite.

For rows that a job writes by the hundred; anything else goes through the models. Reads of many rows: `columns`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def rows_insert(model: type[Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of plain cells in the order of `columns`; keys come from the database. In the caller's transaction.

    A UUID is given as `key_of` gives it, JSON as its text. Defaults of the model's fields are not filled in.
    Raises `IntegrityError` as Django does.
    """
    table, names = model._meta.db_table, ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(rows))


def key_of(model: type[Model], field: str, value: object) -> Any:
    """A reference to another row as this database stores it."""
    return model._meta.get_field(field).get_db_prep_value(value, connection)
