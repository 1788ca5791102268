"""Lists by key: a page is "what comes after this id", so that the millionth row costs what the first does.

Ids sort by age (UUIDv7, or a counter), and lists run from the newest to the oldest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404

PAGE_SIZE = 50


@dataclass(frozen=True)
class Page:
    """Some rows, newest first, and the query strings of the pages beside them; empty where there is none."""

    rows: list[Any]
    newer: str
    older: str


def page_of(rows: QuerySet[Any], query: Mapping[str, str], *, size: int = PAGE_SIZE) -> Page:
    """The page that a query string asks for by `before` or `after` an id; the newest rows without either.

    Other parameters of the query (filters) are kept in the links. Raises `Http404` for an id that is none.
    """
    kept = {name: value for name, value in query.items() if name not in ("before", "after")}
    before, after = query.get("before", ""), query.get("after", "")
    if after:
        found = list(reversed(rows.filter(pk__gt=_key(rows.model, after)).order_by("pk")[: size + 1]))
        more_newer, more_older = len(found) > size, True
        found = found[-size:]
    else:
        older = rows.filter(pk__lt=_key(rows.model, before)) if before else rows
        found = list(older.order_by("-pk")[: size + 1])
        more_newer, more_older = bool(before), len(found) > size
        found = found[:size]
    if not found:
        return Page([], "", urlencode(kept) if after else "")
    return Page(
        found,
        urlencode(kept | {"after": found[0].pk}) if more_newer else "",
        urlencode(kept | {"before": found[-1].pk}) if more_older else "",
    )


def _key(model: type[Model], text: str) -> Any:
    try:
        return model._meta.pk.to_python(text)  # type: ignore[union-attr]
    except ValidationError:
        raise Http404("no such page") from None
