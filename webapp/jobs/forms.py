"""Forms of pages about jobs."""

from django import forms


class LimitForm(forms.Form):
    """How many jobs of a team run at once."""

    limit = forms.IntegerField(required=False, min_value=1, max_value=1000, label="Limit")
