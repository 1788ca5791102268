"""Tags of the models' pages."""

from django import template

from webapp.registry.dependants import Dependants

register = template.Library()


@register.filter
def signed3(difference: float) -> str:
    """A difference with its sign, three digits."""
    return f"{difference:+.3f}".replace("-", "−")


@register.simple_tag
def losing(dependants: Dependants) -> str:
    """What a deletion would cost, as a sentence."""
    told = "; ".join(dependants.losing)
    return (
        f"Its files are removed for good. {told[:1].upper()}{told[1:]}." if told else "Its files are removed for good."
    )
