"""The form of a remote engine."""

from typing import Any

from django import forms

from webapp.registry.models import Endpoint


class EndpointForm(forms.Form):
    """Where a model is served, and by which key."""

    name = forms.CharField(max_length=200, label="Name")
    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="https://…/v1. The host must be on the list of the people who run this instance.",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )
    model = forms.CharField(max_length=200, label="Model", help_text="The name that the server knows it by.")
    api = forms.ChoiceField(label="Form of its API", choices=Endpoint._meta.get_field("api").choices or [])
    context_length = forms.IntegerField(
        label="Context length", min_value=16, max_value=10_000_000, initial=4096, help_text="Tokens."
    )
    key = forms.CharField(
        required=False,
        max_length=1000,
        label="Key",
        help_text="Written and never shown.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    @classmethod
    def of(cls, endpoint: Endpoint, data: Any = None) -> "EndpointForm":
        """Filled with what a remote engine has, but for its key."""
        names = ("name", "url", "model", "api", "context_length")
        form = cls(data, initial={name: getattr(endpoint, name) for name in names})
        kept = "The present key stays, unless the host changes." if endpoint.key_encrypted else "None is set."
        form.fields["key"].help_text = f"Empty: as it is. {kept}"
        return form
