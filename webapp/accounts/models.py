"""People, teams, and what lets a person in. Secrets are stored hashed; each is shown once, when it is made."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower

from webapp.accounts.rules import Role
from webapp.common.models import Entity, new_id


class Theme(models.TextChoices):
    """How pages look to a person."""

    AUTO = "auto", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Door(models.TextChoices):
    """By which way somebody did something."""

    PAGE = "page", "Page"
    API = "api", "API"
    COMMAND = "command", "Command"
    SYSTEM = "system", "System"


class User(AbstractUser):
    """A person. `is_operator` runs the instance and gives no sight of any team's content."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    first_name = None  # type: ignore[assignment]  # one name, as the person writes it
    last_name = None
    name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    is_operator = models.BooleanField(default=False)
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.AUTO)
    mail_when_job_ends = models.BooleanField(default=False)

    REQUIRED_FIELDS = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("username"), name="user_name_without_case"),
            models.UniqueConstraint(Lower("email"), condition=~models.Q(email=""), name="user_email_without_case"),
        ]

    def __str__(self) -> str:
        return self.name or self.username

    def get_full_name(self) -> str:
        """The name as the person writes it, or the user name."""
        return str(self)

    def get_short_name(self) -> str:
        """The same: there is one name."""
        return str(self)


class Team(Entity):
    """A wall: what belongs to a team is seen by its members only.

    The system team holds bundled models and benchmarks; everybody reads it and nobody is a member.
    """

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=40, unique=True)
    is_system = models.BooleanField(default=False)
    mfa_required = models.BooleanField(default=False, help_text="Members need a second factor to see anything.")

    class Meta:
        constraints = [
            models.UniqueConstraint("is_system", condition=models.Q(is_system=True), name="one_system_team"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(Entity):
    """A person in a team, with one role there."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role)

    class Meta:
        constraints = [models.UniqueConstraint("user", "team", name="one_membership_per_team")]


class Invitation(Entity):
    """A link that lets one person into a team: stored as its hash, spent once, for two weeks."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(blank=True, help_text="Whom it is for; empty: whoever holds the link.")
    role = models.CharField(max_length=12, choices=Role)
    secret_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    expires = models.DateTimeField()
    accepted = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    revoked = models.DateTimeField(null=True)


class OneTimeLink(Entity):
    """A link that signs a person in once, or lets them set a new password: stored as its hash, spent by a POST."""

    class Purpose(models.TextChoices):
        """What it opens."""

        SIGN_IN = "sign-in"
        RESET = "reset"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=8, choices=Purpose)
    secret_hash = models.CharField(max_length=64, unique=True)
    expires = models.DateTimeField()
    spent = models.DateTimeField(null=True)


class ApiToken(Entity):
    """A person's key to the API for one team: a prefix to know it by, and the hash of 256 random bits.

    What it may do is what its scopes *and* its owner's present role allow; it dies with the membership.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, unique=True)
    secret_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list, help_text="Actions, as in `rules.Action`.")
    expires = models.DateTimeField(null=True)
    last_used = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)


class AuditEntry(models.Model):
    """Who did what to what, and when: written by services, never changed. Holds ids and names, no content."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True)
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="audit")
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=150, help_text="Kept when the person is gone.")
    via = models.CharField(max_length=8, choices=Door)
    verb = models.CharField(max_length=40, help_text="`membership.added`, `token.revoked`, …")
    subject = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [models.Index(fields=["team", "-id"], name="audit_by_team")]
