"""Filters of pages about trees and labels."""

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from webapp.trees.mosaic import Cell, Mosaic

register = template.Library()


@register.filter
def spaced(name: str) -> str:
    """A setting's name in words."""
    return name.replace("_", " ").capitalize()


@register.filter
def plain(value: Any) -> str:
    """A setting's value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@register.filter
def signed(difference: float | None) -> str:
    """A difference with its sign, two digits; a dash where nobody knows."""
    return "–" if difference is None else f"{difference:+.2f}".replace("-", "−")


@register.filter
def gained(drop: float) -> str:
    """A drop below nothing is a gain."""
    return f"gained {-drop:.3f}" if drop < 0 else "the same"


@register.filter
def mean_score(scores: list[float | None]) -> str:
    """The mean of a model's scores of a tree's steps."""
    known = [each for each in scores if each is not None]
    return f"mean {sum(known) / len(known):.2f} over {len(known):,} steps" if known else "no scores"


@register.filter
def add_number(value: float, other: str) -> str:
    """A coordinate moved by a number."""
    return f"{value + float(other):g}"


_CELL = '<li><{0} id="cell-{1}" class="{2}"{3} title="{4}">{5}<span class="visually-hidden"> {4}</span></{6}></li>'


@register.simple_tag
def mosaic_cells(mosaic: Mosaic, trees: str, growing: str) -> SafeString:
    """The cells of a mosaic, hundreds of them: written in one go. `trees` and `growing` are the addresses they lead to,
    up to the id.
    """
    return format_html_join("", _CELL, (_cell(cell, trees, growing) for cell in mosaic.cells))


def _cell(cell: Cell, trees: str, growing: str) -> tuple[Any, ...]:
    if cell.tree is None and cell.look != "growing":
        return "span", cell.position, cell.look, "", cell.words, cell.figure, "span"
    where = f"{trees}{cell.tree}/" if cell.tree else f"{growing}{cell.position}/"
    return "a", cell.position, cell.look, format_html(' href="{}"', where), cell.words, cell.figure, "a"
