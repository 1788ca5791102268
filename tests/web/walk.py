"""Walks the URL map: every page and every operation of the API with what it declares about who may call it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from webapp.common.access import THIRD_PARTY, Access, access_of


@dataclass(frozen=True)
class Place:
    """One URL of the map."""

    route: str
    view: Callable[..., Any]
    parameters: tuple[str, ...]
    converters: dict[str, Any]
    access: Access | None

    @property
    def is_library(self) -> bool:
        """Whether the view is a library's, which guards itself."""
        module = getattr(self.view, "__module__", "") or ""
        return any(module == name or module.startswith(f"{name}.") for name in THIRD_PARTY)

    def path(self, values: dict[str, Any]) -> str:
        """The URL with these values in it. Raises `KeyError` for a parameter without one."""
        path = self.route
        for name in self.parameters:
            start, end = _parameter(path, name)
            path = path[:start] + str(self.converters[name].to_url(values[name])) + path[end:]
        return "/" + path


def places() -> Iterator[Place]:
    """All that can be reached: of two with the same route, the first."""
    seen = set()
    for place in _under(get_resolver(), "", {}):
        if place.route not in seen:
            seen.add(place.route)
            yield place


def _under(resolver: URLResolver, before: str, given: dict[str, Any]) -> Iterator[Place]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern).removeprefix("^").removesuffix("$")
        converters = {**given, **getattr(entry.pattern, "converters", {})}
        if isinstance(entry, URLPattern):
            yield Place(route, entry.callback, tuple(converters), converters, access_of(entry.callback))
        else:
            yield from _under(entry, route, converters)


def undeclared(found: Iterator[Place]) -> list[str]:
    """Routes whose view does not say who may call it."""
    return [place.route for place in found if place.access is None]


def _parameter(path: str, name: str) -> tuple[int, int]:
    end = path.index(f"{name}>") + len(name) + 1
    return path.rindex("<", 0, end), end
