"""Search in the texts of questions: one selector (`matching`) over what each database has for it.

What is searched is a folded copy of the text, so that case means nothing in any script and on either database, and a
row is looked through without converting it: PostgreSQL's UPPER() of a question takes longer than all else.
SQLite: an FTS5 table of trigrams beside the questions, which the writer and the deleter of rows keep in step; it names
the rows that have every trigram of what is wanted, and the text decides.
PostgreSQL: a GIN index of pg_trgm, which the database keeps.
Both serve parts of three characters and more. Shorter ones, and databases that have neither, go row by row.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from webapp.datasets.models import QuestionRow

SHORTEST = 3
"""Characters that make one trigram."""
FTS = "datasets_question_text"
GIN = "question_by_text"
ROWS = "datasets_questionrow"

PENDING_KB = 65536
"""New entries that wait beside PostgreSQL's index, to be put into it together: that is what imports pay with."""

log = logging.getLogger(__name__)


def folded(text: str) -> str:
    """A text without its case."""
    return text.casefold()


def looked_through(rows: QuerySet[QuestionRow], *, text: str, most: int) -> list[int]:
    """Keys of those of the (ordered) rows whose text has this part in it, in their order, up to `most`; row by row.

    The rows are taken first and their texts looked at then: asked for both at once, PostgreSQL would guess how many
    have the text, and go through the index of all texts or through the whole table.
    """
    taken, parameters = rows.values("id", "position", "folded").query.sql_with_params()
    order = "DESC" if rows.query.order_by == ("-position",) else "ASC"
    like = f"%{connection.ops.prep_for_like_query(folded(text.strip()))}%"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM ({taken}) AS taken WHERE folded LIKE %s ESCAPE '\\' ORDER BY position {order} LIMIT %s",
            [*parameters, like, most],
        )
        return [key for (key,) in cursor.fetchall()]


def matching(rows: QuerySet[QuestionRow], *, version_id: UUID, text: str) -> QuerySet[QuestionRow]:
    """Of the rows of a version those whose text has this part in it, whatever its case."""
    wanted = folded(text.strip())
    if not wanted:
        return rows
    rows = rows.filter(folded__contains=wanted)  # on PostgreSQL the GIN index is made for this very condition
    if connection.vendor != "sqlite" or len(wanted) < SHORTEST or not _has_fts(connection.alias):
        return rows
    ends = QuestionRow.objects.filter(version=version_id)
    first = ends.order_by("position").values_list("pk", flat=True).first()
    last = ends.order_by("-position").values_list("pk", flat=True).first()
    trigrams = {wanted[at : at + SHORTEST] for at in range(len(wanted) - SHORTEST + 1)}
    every = " AND ".join('"' + one.replace('"', '""') + '"' for one in sorted(trigrams))
    # Rows of a version are written in a row, so that its ids bound what is looked at; other versions' may lie between.
    found = RawSQL(
        f"SELECT rowid FROM {FTS} WHERE {FTS} MATCH %s AND rowid BETWEEN %s AND %s", (every, first or 0, last or 0)
    )
    return rows.filter(pk__in=found)


def index_add(*, version_id: UUID, first: int, end: int) -> None:
    """Index the rows of a version at these positions, `end` left out. In the transaction that wrote them."""
    if connection.vendor != "sqlite" or not _has_fts(connection.alias):
        return
    key = QuestionRow._meta.get_field("version").get_db_prep_value(version_id, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {FTS}(rowid, folded) SELECT id, folded FROM {ROWS}"
            " WHERE version_id = %s AND position >= %s AND position < %s",
            [key, first, end],
        )


def index_settle() -> None:
    """After many new rows: put what waits beside PostgreSQL's index into it, so that no search reads through that."""
    if connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT gin_clean_pending_list(to_regclass(%s))", [GIN])
    except DatabaseError as error:  # no such index, or one of another role's: it is slower, not wrong
        log.info("the index of texts was not settled (%s)", type(error).__name__)


def index_remove(*, ids: Sequence[int]) -> None:
    """Forget rows that are about to be deleted. In the transaction that deletes them."""
    if not ids or connection.vendor != "sqlite" or not _has_fts(connection.alias):
        return
    marks = ", ".join(["%s"] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {FTS}({FTS}, rowid, folded) SELECT 'delete', id, folded FROM {ROWS} WHERE id IN ({marks})",
            list(ids),
        )


def index_create(database: BaseDatabaseWrapper) -> bool:
    """Make the index, of the questions that there are; says whether the database has it now."""
    try:
        with transaction.atomic(using=database.alias), database.cursor() as cursor:
            if database.vendor == "sqlite":
                # No places within the texts (detail): a third of the writing, and nobody asks for them.
                cursor.execute(
                    f"CREATE VIRTUAL TABLE IF NOT EXISTS {FTS}"
                    f" USING fts5(folded, content='{ROWS}', content_rowid='id',"
                    " tokenize='trigram case_sensitive 1', detail='none')"
                )
                cursor.execute(f"INSERT INTO {FTS}({FTS}) VALUES ('rebuild')")
            elif database.vendor == "postgresql":
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                cursor.execute(
                    f"CREATE INDEX IF NOT EXISTS {GIN} ON {ROWS} USING gin (folded gin_trgm_ops)"
                    f" WITH (gin_pending_list_limit = {PENDING_KB})"
                )
    except DatabaseError as error:
        log.warning("questions are searched without an index of their texts (%s)", type(error).__name__)
        return False
    finally:
        _has_fts.cache_clear()
    return True


def index_drop(database: BaseDatabaseWrapper) -> None:
    """Take the index away."""
    with database.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {FTS}" if database.vendor == "sqlite" else f"DROP INDEX IF EXISTS {GIN}")
    _has_fts.cache_clear()


@cache
def _has_fts(alias: str) -> bool:
    return FTS in _tables()


def _tables() -> Any:
    return connection.introspection.table_names()
