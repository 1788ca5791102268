"""The one place where what models and people wrote becomes HTML. Nothing of theirs enters a page as HTML.

Markdown without HTML and images; then only tags and links of a short list are let through.
"""

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

LONGEST = 40_000
"""Characters; what is longer is shown as it was written."""
TAGS = {
    "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "h4", "h5", "h6", "a",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip

_PARSER = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable(["image", "html_block"])


def rendered(text: str) -> SafeString:
    """A text as HTML that does nothing but show it."""
    if len(text) > LONGEST:
        return format_html('<pre class="chat-plain">{}</pre>', text)
    tokens = _PARSER.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 3)}"  # below the page's own headings
    html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        set_tag_attribute_values={"table": {"tabindex": "0"}},  # a wide one is scrolled, also by keyboard
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)
