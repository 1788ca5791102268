"""Tags of the pages of judging: words of judgements, and instructions written in Markdown."""

from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from webapp.annotation.words import label_of

register = template.Library()

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
"""Tags that somebody wrote come out as text, links lead to web pages only, pictures are left out."""


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that cannot carry a script: raw HTML is escaped (the parser's `html` is off)."""
    return mark_safe(_MARKDOWN.render(text))


@register.filter
def word(value: str) -> str:
    """A verdict, a kind of error, a severity or a rule in words."""
    return label_of(value)
