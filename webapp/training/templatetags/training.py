"""Tokens as pages show them."""

from collections.abc import Sequence

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from meds3core.training.shown import Stretch

register = template.Library()


@register.filter
def tokens(stretch: Stretch, before: Stretch | None = None) -> SafeString:
    """Each token in a box of its own, a line break after ⏎; where a score is read, its label in words.

    `before`: what stands before it in the sequence, so that positions are those of the whole.
    """
    first = len(before.tokens) if before else 0
    marks = {mark.at: mark for mark in stretch.marks}
    parts = []
    for place, (token, key) in enumerate(zip(stretch.tokens, stretch.ids, strict=True)):
        mark = marks.get(place)
        hint = f"token {first + place}, id {key}"
        if mark is None:
            parts.append(format_html('<span class="tok" title="{}">{}</span>', hint, token or "∅"))
        elif mark.target is None:
            parts.append(
                format_html(
                    '<span class="tok tok-unread" title="{}">{}</span><span class="tok-label">step {}: not read</span>',
                    hint,
                    token or "∅",
                    mark.step,
                )
            )
        else:
            weight = f", weight {mark.weight:g}" if mark.weight != 1.0 else ""
            parts.append(
                format_html(
                    '<mark class="tok tok-end" title="{}">{}</mark>'
                    '<span class="tok-label is-read">step {}: {} at token {}{}</span>',
                    hint,
                    token or "∅",
                    mark.step,
                    f"{mark.target:.2f}",
                    mark.position,
                    weight,
                )
            )
        if token.endswith("⏎") or mark is not None:
            parts.append(mark_safe("\n"))
    return format_html_join("", "{}", ((part,) for part in parts))


@register.filter
def total(rows: Sequence[tuple[str, int]]) -> int:
    """All counts together."""
    return sum(count for _, count in rows)
