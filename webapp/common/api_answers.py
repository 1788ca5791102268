"""How operations of the API answer: pages of a list, things made, jobs taken on.

    @router.get("/teams/{team_slug}/datasets", response=ApiPage[DatasetOut])
    @team_operation(Action.DATASET_VIEW)
    def dataset_list(request, team_slug: str, paging: Query[Paging]):
        return api_page(request, datasets_of(team=request.team), DatasetOut.of, paging)

docs/api.md has the conventions for those who call.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema
from pydantic import BaseModel, Field

from meds3core.errors import UserError

PAGE_LIMIT = 50
MOST = 200

Item = TypeVar("Item")


class ApiPageError(UserError):
    """A page was asked for that there cannot be."""

    code = "page"


class ApiPage(Schema, Generic[Item]):
    """Some of a list, and where the rest of it is: `next` is null at the end."""

    items: list[Item]
    next: str | None = Field(description="Path and query of the next page, to be asked for as it stands.")


class Paging(Schema):
    """Which part of a list, newest first: that before an item's id."""

    limit: int = Field(default=PAGE_LIMIT, ge=1, le=MOST)
    before: str = Field(default="", max_length=100, description="Items older than the one of this id.")


class Reading(Schema):
    """Which part of a list that is read from its beginning: that after an item."""

    limit: int = Field(default=PAGE_LIMIT, ge=1, le=MOST)
    after: str = Field(default="", max_length=100, description="Items behind this one.")


def api_page(
    request: HttpRequest,
    rows: QuerySet[Any],
    make: Callable[[Any], Item],
    paging: Paging | Reading,
    *,
    key: str = "pk",
) -> ApiPage[Item]:
    """The page that `paging` asks for: by `key` downwards (`Paging`) or upwards (`Reading`).

    `key` names an indexed column of the rows' own table without equal values in the list. Other parameters of the
    query are kept in `next`. Raises `ApiPageError`.
    """
    word, order, lookup = ("before", f"-{key}", "lt") if isinstance(paging, Paging) else ("after", key, "gt")
    edge = paging.before if isinstance(paging, Paging) else paging.after
    if edge:
        rows = rows.filter(**{f"{key}__{lookup}": _value(rows, key, edge)})
    found = list(rows.order_by(order)[: paging.limit + 1])
    shown = found[: paging.limit]
    following = next_page(request, **{word: getattr(shown[-1], key)}) if len(found) > len(shown) else None
    return ApiPage(items=[make(each) for each in shown], next=following)


def next_page(request: HttpRequest, **place: Any) -> str:
    """This request's path and query with another place in the list."""
    kept = {name: request.GET.getlist(name) for name in request.GET if name not in place}
    return f"{request.path}?{urlencode(kept | {name: [value] for name, value in place.items()}, doseq=True)}"


def _value(rows: QuerySet[Any], key: str, text: str) -> Any:
    field = rows.model._meta.pk if key == "pk" else rows.model._meta.get_field(key)
    try:
        return field.to_python(text)  # type: ignore[union-attr]
    except ValidationError:
        raise ApiPageError("There is no such page. Take `next` from the page before as it stands.") from None


def answer_made(content: BaseModel, *, location: str, status: int = 201) -> HttpResponse:
    """201 for a thing that was made, 202 for a job that was taken on, with the path where it is."""
    response = HttpResponse(content.model_dump_json(), status=status, content_type="application/json; charset=utf-8")
    response["Location"] = location
    return response
