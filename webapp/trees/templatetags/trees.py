"""Filters of pages about trees and labels."""

from html import escape
from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe

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


@register.simple_tag
def mosaic_cells(mosaic: Mosaic, trees: str, growing: str) -> SafeString:
    """The cells of a mosaic, hundreds of them: written in one go. `trees` and `growing` are the addresses they lead to,
    up to the id.
    """
    return mark_safe("".join(_cell(cell, escape(trees), escape(growing)) for cell in mosaic.cells))


def _cell(cell: Cell, trees: str, growing: str) -> str:
    """What is of people is escaped, once; the rest are numbers and words of ours."""
    words = escape(cell.words)
    inside = f'title="{words}">{cell.figure}<span class="visually-hidden"> {words}</span>'
    look = f'id="cell-{cell.position}" class="{cell.look}"'
    if cell.tree is None and cell.look != "growing":
        return f"<li><span {look} {inside}</span></li>"
    where = f"{trees}{cell.tree}/" if cell.tree else f"{growing}{cell.position}/"
    return f'<li><a {look} href="{where}" {inside}</a></li>'
