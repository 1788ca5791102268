"""Columns of many rows as plain cells, for figures over ten thousand of them; anything else goes through the models."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast


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
