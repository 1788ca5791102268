"""Forms of conversations."""

from typing import Any

from django import forms
from pydantic import ValidationError

from meds3core.config.chat import ChatConfig
from webapp.accounts.models import Team
from webapp.chat.duels import Side
from webapp.chat.models import Conversation
from webapp.chat.selectors import policies_of, scorers_of
from webapp.chat.texts import said
from webapp.endpoints.selectors import endpoints_of
from webapp.registry.models import Endpoint, ModelVersion

WAYS = [
    ("fast", "Fast: one answer"),
    ("self-consistency", "Self-consistency: what most answers agree on"),
    ("best-of-n", "Best of n: the answer that the reward model scores highest"),
    ("tree-search", "Tree search: a tree of steps that the reward model guides"),
]
FORMS = [("auto", "As the model learnt it"), ("steps", "In numbered steps"), ("free", "Freely")]


class SettingsForm(forms.Form):
    """Which model answers, and how."""

    model = forms.ChoiceField(label="Model")
    way = forms.ChoiceField(label="Way to answer", choices=WAYS, initial="fast")
    scorer = forms.ChoiceField(
        label="Reward model",
        required=False,
        help_text="Scores each step as it is completed; best of n and tree search choose by it.",
    )
    n = forms.IntegerField(label="Answers to choose from", min_value=1, max_value=64, initial=8, required=False)
    nodes = forms.IntegerField(
        label="Steps of a tree",
        min_value=2,
        max_value=120,
        initial=16,
        required=False,
        help_text="At most; tree search.",
    )
    temperature = forms.FloatField(
        label="Temperature", min_value=0, max_value=2, initial=0.7, help_text="0: always the likeliest word."
    )
    top_p = forms.FloatField(label="Top p", min_value=0.01, max_value=1, initial=0.95)
    max_tokens = forms.IntegerField(label="Tokens at most", min_value=1, max_value=32_768, initial=1024)
    form = forms.ChoiceField(label="Form of the answer", choices=FORMS, initial="auto")
    system = forms.CharField(
        label="Instruction", required=False, max_length=20_000, strip=False,
        widget=forms.Textarea(attrs={"rows": 3}), help_text="What the model is told before the conversation.",
    )  # fmt: skip
    seed = forms.IntegerField(label="Seed", min_value=0, required=False, help_text="Empty: another answer each time.")

    def __init__(self, team: Team, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        policies, endpoints = list(policies_of(team=team)[:200]), list(endpoints_of(team=team))
        self._policies = {f"model:{row.pk}": row for row in policies}
        self._endpoints = {f"remote:{row.pk}": row for row in endpoints}
        self._scorers = {str(row.pk): row for row in scorers_of(team=team)[:200]}
        choices = [(key, str(row)) for key, row in self._policies.items()]
        choices += [(key, f"{row.name} (remote)") for key, row in self._endpoints.items()]
        self.fields["model"].choices = choices  # type: ignore[attr-defined]
        scorers = [("", "None"), *((key, str(row)) for key, row in self._scorers.items())]
        self.fields["scorer"].choices = scorers  # type: ignore[attr-defined]

    def clean_system(self) -> str:
        """As messages are kept: browsers end lines with two characters."""
        return said(str(self.cleaned_data["system"]))

    @classmethod
    def of(cls, conversation: Conversation, data: Any = None) -> "SettingsForm":
        """Filled with what a conversation has."""
        try:
            config = ChatConfig.model_validate(conversation.config)
        except ValidationError:  # written by another version of the product; its words would quote the settings
            config = ChatConfig()
        model = f"model:{conversation.policy_id}" if conversation.policy_id else f"remote:{conversation.endpoint_id}"
        initial = config.model_dump() | {"model": model, "scorer": str(conversation.scorer_id or "")}
        return cls(conversation.team, data, initial=initial)

    @property
    def has_models(self) -> bool:
        """Whether there is anything to talk with."""
        return bool(self._policies or self._endpoints)

    @property
    def chosen_policy(self) -> ModelVersion | None:
        """The chosen one."""
        return self._policies.get(self.cleaned_data["model"])

    @property
    def chosen_endpoint(self) -> Endpoint | None:
        """The chosen one."""
        return self._endpoints.get(self.cleaned_data["model"])

    @property
    def chosen_scorer(self) -> ModelVersion | None:
        """The chosen one."""
        return self._scorers.get(self.cleaned_data["scorer"])

    @property
    def chosen_config(self) -> ChatConfig:
        """For the services."""
        names = ("way", "temperature", "top_p", "max_tokens", "form", "system", "seed")
        values = {name: self.cleaned_data[name] for name in names}
        return ChatConfig(**values, n=self.cleaned_data["n"] or 8, nodes=self.cleaned_data["nodes"] or 16)


class RetentionForm(forms.Form):
    """For how long the team keeps conversations."""

    days = forms.IntegerField(
        label="Days", min_value=1, max_value=36_500, required=False, help_text="Empty: until somebody deletes them."
    )


class DuelForm(SettingsForm):
    """Two models, and how both answer."""

    other = forms.ChoiceField(label="Against")
    blind = forms.BooleanField(
        label="Blind", required=False, initial=True, help_text="Which model is which is shown when you have voted."
    )
    field_order = ("model", "other", "blind", "way", "scorer")

    def __init__(self, team: Team, *args: Any, **more: Any) -> None:
        super().__init__(team, *args, **more)
        self.fields["model"].label = "One model"
        choices = self.fields["model"].choices  # type: ignore[attr-defined]
        self.fields["other"].choices = choices  # type: ignore[attr-defined]
        if len(choices) > 1:
            self.initial.setdefault("other", choices[1][0])

    @property
    def has_two(self) -> bool:
        """Whether there are two to choose from."""
        return len(self._policies) + len(self._endpoints) > 1

    @property
    def first(self) -> Side:
        """The chosen one."""
        return Side(self.chosen_policy, self.chosen_endpoint)

    @property
    def second(self) -> Side:
        """What it is set against."""
        name = self.cleaned_data["other"]
        return Side(self._policies.get(name), self._endpoints.get(name))
