"""Forms of accounts: what a person types, checked; the rules stand in services."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.forms.boundfield import BoundWidget

from webapp.accounts.models import Team, Theme, User
from webapp.accounts.rules import GRANTS, Action, Role, actions_of
from webapp.accounts.scopes import grouped

TOKEN_LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until revoked")]


class InvitationForm(forms.Form):
    """Whom to invite, and as what: the roles that the inviting person may give."""

    email = forms.EmailField(
        required=False, label="E-mail", help_text="Leave empty to make a link that works for whoever you give it to."
    )
    role = forms.ChoiceField(label="Role")

    def __init__(self, *args: Any, own_role: str, **others: Any) -> None:
        super().__init__(*args, **others)
        self.fields["role"].choices = _grantable(own_role)  # type: ignore[attr-defined]


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label="Role")

    def __init__(self, *args: Any, own_role: str, **others: Any) -> None:
        super().__init__(*args, **others)
        self.fields["role"].choices = _grantable(own_role)  # type: ignore[attr-defined]


class TeamForm(forms.ModelForm):
    """A team's settings."""

    class Meta:
        model = Team
        fields = ("name", "mfa_required")

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        self.fields["mfa_required"].label = "Members need a second factor"
        self.fields["mfa_required"].help_text = "Until they set one up, members see nothing of this team."


class NewTeamForm(forms.Form):
    """A team's name and, for an operator who makes it for somebody else, its owner."""

    name = forms.CharField(max_length=80, label="Name")
    owner = forms.CharField(
        max_length=150, required=False, label="Owner's user name", help_text="Leave empty to own it yourself."
    )

    def __init__(self, *args: Any, may_name_owner: bool, **others: Any) -> None:
        super().__init__(*args, **others)
        if not may_name_owner:
            del self.fields["owner"]


class TokenForm(forms.Form):
    """An API token: what to call it, what it may do, for how long."""

    name = forms.CharField(max_length=80, label="Name", help_text="What uses it, for your own memory.")
    scopes = forms.MultipleChoiceField(label="It may", widget=forms.CheckboxSelectMultiple)
    days = forms.ChoiceField(choices=TOKEN_LIFETIMES, required=False, initial="90", label="Works for")

    def __init__(self, *args: Any, own_role: str, **others: Any) -> None:
        super().__init__(*args, **others)
        self.fields["scopes"].choices = grouped(actions_of(own_role))  # type: ignore[attr-defined]

    def scope_groups(self) -> list[tuple[str, list[BoundWidget]]]:
        """The boxes by group, for the page."""
        boxes = {box.data["value"]: box for box in self["scopes"].subwidgets}
        groups = self.fields["scopes"].choices  # type: ignore[attr-defined]
        return [(group, [boxes[value] for value, _ in choices]) for group, choices in groups]

    @property
    def chosen_scopes(self) -> frozenset[Action]:
        """The actions chosen."""
        return frozenset(Action(each) for each in self.cleaned_data["scopes"])

    @property
    def lifetime(self) -> timedelta | None:
        """How long it works; none: until revoked."""
        return timedelta(days=int(self.cleaned_data["days"])) if self.cleaned_data["days"] else None


class ProfileForm(forms.Form):
    """A person's own name and how pages look."""

    name = forms.CharField(max_length=150, required=False, label="Name")
    theme = forms.ChoiceField(choices=Theme.choices, label="Appearance")
    mail_when_job_ends = forms.BooleanField(
        required=False,
        label="Mail me when a job of mine ends",
        help_text="The mail names team, kind and outcome and links to the job; nothing of its content.",
    )

    def __init__(self, *args: Any, has_mail: bool, **others: Any) -> None:
        super().__init__(*args, **others)
        if not has_mail:
            del self.fields["mail_when_job_ends"]


class EmailForm(forms.Form):
    """A person's e-mail address."""

    email = forms.EmailField(required=False, label="E-mail")


class SecretForm(forms.Form):
    """The code out of a link. The page's script fills it in; a person may paste it."""

    secret = forms.CharField(
        max_length=100,
        label="Code from your link",
        help_text="The part of the link after #.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "data-from-fragment": ""}),
    )

    def clean_secret(self) -> str:
        """A whole link may be pasted too."""
        return str(self.cleaned_data["secret"]).rpartition("#")[2]


class NewPasswordForm(SecretForm):
    """A new password, with the code out of a reset link."""

    password1 = forms.CharField(
        label="New password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    password2 = forms.CharField(
        label="The same again", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean(self) -> dict[str, Any]:
        """Both alike."""
        cleaned = super().clean() or {}
        if cleaned.get("password1") != cleaned.get("password2"):
            self.add_error("password2", "The two passwords are not alike.")
        return cleaned

    def check_password(self, user: User) -> bool:
        """Whether the password will do for this person; the form says why not."""
        try:
            password_validation.validate_password(self.cleaned_data["password1"], user)
        except forms.ValidationError as error:
            self.add_error("password1", error)
            return False
        return True


def _grantable(own_role: str) -> list[tuple[str, str]]:
    return [(role.value, str(role.label)) for role in reversed(Role) if role in GRANTS[Role(own_role)]]
