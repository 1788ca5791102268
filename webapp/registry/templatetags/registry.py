"""Tags of the models' pages."""

from django import template

from webapp.registry.dependants import Dependants

register = template.Library()


@register.simple_tag
def losing(dependants: Dependants) -> str:
    """What a deletion would cost, as a sentence."""
    told = "; ".join(dependants.losing)
    return (
        f"Its files are removed for good. {told[:1].upper()}{told[1:]}." if told else "Its files are removed for good."
    )
