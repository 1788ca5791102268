"""Tags of the models' pages."""

from django import template
from django.urls import NoReverseMatch, reverse

from webapp.accounts.models import Team
from webapp.registry.dependants import Dependants
from webapp.registry.lineage import Source

register = template.Library()

PAGES = {
    "model": "model",
    "dataset": "dataset-version",
    "labels": "label-set",
    "trees": "search",
    "evaluation": "evaluation",
}
KINDS = {
    "upload": "files that were sent",
    "dataset": "questions",
    "model": "model",
    "labels": "label set",
    "trees": "search trees",
    "evaluation": "evaluation",
    "endpoint": "remote engine",
}


@register.filter
def share(value: float | None) -> str:
    """An accuracy: "62.5%", or a dash."""
    return f"{100 * value:.1f}%" if isinstance(value, int | float) else "–"


@register.filter
def source_kind(kind: str) -> str:
    """What a source is, in words."""
    return KINDS.get(kind, kind)


@register.simple_tag
def source_url(team: Team, source: Source) -> str:
    """The page of a source; empty when it has none or is gone."""
    if source.gone or source.kind not in PAGES:
        return ""
    try:
        return reverse(PAGES[source.kind], args=[team.slug, source.id])
    except NoReverseMatch:
        return ""


@register.simple_tag
def losing(dependants: Dependants) -> str:
    """What a deletion would cost, as a sentence."""
    told = "; ".join(dependants.losing)
    return (
        f"Its files are removed for good. {told[:1].upper()}{told[1:]}." if told else "Its files are removed for good."
    )
