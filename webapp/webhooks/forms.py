"""Forms of webhooks."""

from django import forms

from webapp.webhooks.models import Event, Webhook


class WebhookForm(forms.Form):
    """Where to call, and of what."""

    name = forms.CharField(max_length=80, label="Name")
    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="https://… The host must be on the list of the people who run this instance.",
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
    )
    events = forms.MultipleChoiceField(label="Call when", choices=Event.choices, widget=forms.CheckboxSelectMultiple)

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookForm":
        """Filled with what a webhook has."""
        return cls(initial={"name": webhook.name, "url": webhook.url, "events": webhook.events})

    @property
    def chosen(self) -> dict[str, object]:
        """For the services."""
        data = self.cleaned_data
        return {"name": data["name"], "url": data["url"], "events": [Event(each) for each in data["events"]]}
