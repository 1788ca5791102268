"""Models and the label sets that made them: files on disk with their hashes, rows with their lineage."""

from django.conf import settings
from django.db import models

from webapp.common.models import TeamEntity


class ModelKind(models.TextChoices):
    """What a model is for."""

    POLICY = "policy", "Policy"
    PRM = "prm", "Process reward model"
    ORM = "orm", "Outcome reward model"


class ModelVersion(TeamEntity):
    """One set of weights in `files/models/<id>/`, listed when they were loaded once and found in order (`ready`).

    An adapter names its base; its files are those of the adapter alone.
    """

    name = models.CharField(max_length=200)
    number = models.PositiveIntegerField(help_text="From 1, per team and name.")
    kind = models.CharField(max_length=8, choices=ModelKind)
    ready = models.BooleanField(default=False)
    base = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    is_adapter = models.BooleanField(default=False)
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+", help_text="Its maker.")
    stage = models.CharField(max_length=80, blank=True, help_text="Of the evolution that made it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    content_hash = models.CharField(max_length=64, blank=True, help_text="Over the names and digests of its files.")
    files = models.JSONField(default=list, help_text="name, bytes and sha256 of each file.")
    bytes = models.PositiveBigIntegerField(default=0)
    facts = models.JSONField(default=dict, help_text="Architecture, parameters, precision, prompt, tokenizer, labels.")
    provenance = models.JSONField(default=dict, help_text="Spec, inputs with hashes, code version, seed, prompt hash.")

    class Meta:
        constraints = [models.UniqueConstraint("team", "name", "number", name="one_model_per_number")]
        indexes = [models.Index(fields=["team", "kind", "-id"], name="model_by_kind")]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class ModelAlias(TeamEntity):
    """A word such as `production` that points to one version of a model name."""

    name = models.CharField(max_length=200, help_text="Of the model.")
    alias = models.SlugField(max_length=40)
    model = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints = [models.UniqueConstraint("team", "name", "alias", name="one_model_per_alias")]


class LabelSet(TeamEntity):
    """Training examples with their origin, in `files/labels/<id>/`: built from trees, later also from people."""

    class Kind(models.TextChoices):
        """Which training reads it."""

        SFT = "sft", "Good trajectories"
        PAIRS = "pairs", "Preference pairs"
        STEPS = "steps", "Step labels"

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=8, choices=Kind)
    ready = models.BooleanField(default=False)
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")
    stage = models.CharField(max_length=80, blank=True, help_text="Of the evolution that made it.")
    settings = models.JSONField(default=dict)
    counts = models.JSONField(default=dict, help_text="Kept and dropped, by reason.")
    records = models.PositiveIntegerField(default=0)
    content_hash = models.CharField(max_length=32, blank=True)

    class Meta:
        indexes = [models.Index(fields=["team", "kind", "-id"], name="label_set_by_kind")]

    def __str__(self) -> str:
        return self.name


class Endpoint(TeamEntity):
    """A remote engine that an owner registered: reached through the outgoing client only. Its key is write-only."""

    name = models.CharField(max_length=200)
    url = models.URLField(max_length=500)
    model = models.CharField(max_length=200, help_text="The name that the server knows the model by.")
    api = models.CharField(
        max_length=12,
        choices=[("completions", "Completions: prompts are written here"), ("chat", "Chat: the server writes them")],
        default="completions",
    )
    context_length = models.PositiveIntegerField(default=4096, help_text="Tokens, if the server does not say itself.")
    key_encrypted = models.TextField(blank=True, help_text="Sealed (webapp.common.vault).")

    class Meta:
        constraints = [models.UniqueConstraint("team", "name", name="one_endpoint_per_name")]
