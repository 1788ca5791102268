"""Many rows at once, by the fastest way that each database has: COPY on PostgreSQL, one prepared statement on SQLite.

For rows that a job writes by the hundred, and figures over ten thousand; anything else goes through the models.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Model, QuerySet, TextField
from django.db.models.functions import Cast


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


def columns_read(rows: QuerySet[Any], columns: Sequence[str], *, moment: str) -> list[tuple[Any, ...]]:
    """Columns of rows as tuples of plain cells, each as the database gives it; bytes as something that `bytes` takes.

    The last cell is the moment of that name as `seconds_of` takes it: to parse ten thousand one by one takes longer
    than to read them.
    """
    as_text = rows.annotate(moment_text=Cast(moment, TextField()))
    sql, parameters = as_text.values_list(*columns, "moment_text").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def seconds_of(moments: Iterable[str]) -> Any:
    """Moments as a database writes them, in UTC: an array of seconds since 1970."""
    plain = [moment.partition("+")[0] for moment in moments]
    return np.array(plain, dtype="datetime64[us]").astype("int64") / 1e6
