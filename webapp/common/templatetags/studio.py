"""Tags of our templates: icons, vendored files, breadcrumbs, form fields in the look of the product."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms, template
from django.forms import BoundField
from django.forms.boundfield import BoundWidget
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from webapp.accounts.scopes import in_words
from webapp.common.vendor import FILES

register = template.Library()


@register.simple_tag
def vendor(name: str) -> str:
    """The URL of a vendored file: `{% vendor "htmx.js" %}`."""
    return static(FILES[name])


@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """An icon of the sprite, for the eye only: `{% icon "home" %}`. What it means must be said in words beside it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        classes,
        static(FILES["icons.svg"]),
        name,
    )


@dataclass(frozen=True)
class Crumb:
    """One step of the way to a page; the page itself has no URL."""

    label: Any
    url: str


@register.inclusion_tag("components/breadcrumbs.html")
def crumbs(*steps: Any) -> dict[str, Any]:
    """The way to a page, label and URL by turns, ending with the page's own label.

    `{% url "team-members" team.slug as members %}{% crumbs team.name members "Invite" %}`
    """
    pairs = [Crumb(steps[at], steps[at + 1]) for at in range(0, len(steps) - 1, 2)]
    return {"crumbs": [*pairs, Crumb(steps[-1], "")] if len(steps) % 2 else pairs}


CLASSES: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.Select: "form-select",
    forms.SelectMultiple: "form-select",
    forms.HiddenInput: "",
}
"""The class of each kind of widget; every other one is a `form-control`."""


CHOICE = '<label class="form-check mb-1">{}<span class="form-check-label">{}</span></label>'


def _tick(choice: BoundWidget) -> SafeString:
    choice.data["attrs"]["class"] = "form-check-input"
    return choice.tag()


@register.filter
def styled(field: BoundField) -> SafeString:
    """The widget with the class that its kind has in our look, and marked where it is in error."""
    widget = field.field.widget
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        return format_html_join("", CHOICE, ((_tick(each), each.choice_label) for each in field))
    classes = [next((CLASSES[kind] for kind in type(widget).__mro__ if kind in CLASSES), "form-control")]
    classes.append(widget.attrs.get("class", ""))
    if field.errors:
        classes.append("is-invalid")
    attrs: dict[str, Any] = {"class": " ".join(filter(None, classes))}
    if "placeholder" in widget.attrs:  # a library's, which repeats the label
        attrs["placeholder"] = False
    return field.as_widget(attrs=attrs)


@register.filter
def tick(box: BoundWidget) -> SafeString:
    """One box of several, with its words."""
    return format_html(CHOICE, _tick(box), box.choice_label)


@register.filter
def scope_words(scopes: list[str]) -> list[str]:
    """What a token may do, in words."""
    return [in_words(scope) for scope in scopes]


@register.filter
def is_tick(field: BoundField) -> bool:
    """Whether a field is one box to tick, whose label stands behind it."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def minutes(span: timedelta) -> str:
    """A span of time in whole minutes, at least one: "15 minutes"."""
    whole = max(1, round(span.total_seconds() / 60))
    return f"{whole} minute{'' if whole == 1 else 's'}"
