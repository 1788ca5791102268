"""Search trees: the compressed arena is the truth, the node rows are an index of it, scores stand beside it.

A set of trees (`Registered("trees", id)`) is the job that made it: a search, an import, or an evolution.
"""

from django.db import models

from webapp.common.models import TeamEntity


class SearchQuestion(models.Model):
    """A question of a search, and which attempt has it. Workers that share a search claim these in batches."""

    class State(models.TextChoices):
        """`failed`: the tree broke for a reason of its own; the search goes on without it and says so."""

        WAITING = "waiting"
        GROWING = "growing"
        DONE = "done"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        "jobs.Job", on_delete=models.CASCADE, related_name="+", help_text="The search, not a shard."
    )
    question = models.ForeignKey("datasets.QuestionRow", null=True, on_delete=models.SET_NULL, related_name="+")
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    shard = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")
    attempt = models.PositiveIntegerField(default=0, help_text="Of the shard that has it.")
    error_code = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint("job", "position", name="one_search_question_per_position")]
        indexes = [models.Index(fields=["job", "state", "position"], name="search_question_to_claim")]


class Tree(TeamEntity):
    """A finished tree. Its arena never changes; its columns repeat what lists filter and sort by."""

    job = models.ForeignKey("jobs.Job", on_delete=models.PROTECT, related_name="trees")
    stage = models.CharField(max_length=80, blank=True, help_text="Of an evolution; empty for a search.")
    position = models.PositiveIntegerField(help_text="Of the question in its search, from 0.")
    question = models.ForeignKey("datasets.QuestionRow", null=True, on_delete=models.SET_NULL, related_name="trees")
    question_id_text = models.CharField(max_length=512, help_text="The question's own id; outlives its row.")
    question_hash = models.CharField(
        max_length=32, help_text="The question's content hash: pairs trees of two searches."
    )
    policy = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    source = models.CharField(max_length=120, blank=True)
    domain = models.CharField(max_length=120, blank=True)
    stop_reason = models.CharField(max_length=16)
    nodes = models.PositiveIntegerField()
    depth = models.PositiveSmallIntegerField()
    rollouts = models.PositiveIntegerField()
    generated_tokens = models.PositiveBigIntegerField()
    root_value = models.FloatField(null=True)
    solved = models.FloatField(help_text="Share of right ones among all rollouts and stated answers; 0 without any.")
    right_answers = models.PositiveIntegerField(help_text="Nodes that state a right answer.")
    wrong_answers = models.PositiveIntegerField()
    largest_drop = models.FloatField(default=0.0, help_text="The largest loss of value from a parent to its child.")
    content_hash = models.CharField(max_length=32)
    tally = models.BinaryField(help_text="Nodes by tenth of their value and by depth (webapp.trees.tallies).")
    arena = models.BinaryField(help_text="zlib of the tree's line (meds3core.data.trees.tree_line).")

    class Meta:
        constraints = [models.UniqueConstraint("job", "stage", "position", name="one_tree_per_question")]
        indexes = [
            models.Index(fields=["team", "question_hash"], name="tree_by_question"),
            models.Index(fields=["job", "solved"], name="tree_by_solved"),
        ]


class NodeRow(models.Model):
    """One node of a tree, for filters and search. Texts of rollouts live in the arena only."""

    id = models.BigAutoField(primary_key=True)
    tree = models.ForeignKey(Tree, on_delete=models.CASCADE, related_name="node_rows")
    idx = models.PositiveIntegerField()
    parent_idx = models.IntegerField(help_text="-1 for the root.")
    depth = models.PositiveSmallIntegerField()
    move = models.CharField(max_length=8)
    value = models.FloatField(null=True)
    right = models.PositiveIntegerField(help_text="k: right ones of its own rollouts.")
    rollouts = models.PositiveIntegerField(help_text="n: its own rollouts.")
    visits = models.PositiveIntegerField()
    drop = models.FloatField(null=True, help_text="Parent's value minus its own; none where one is unknown.")
    verdict = models.BooleanField(null=True)
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint("tree", "idx", name="one_node_per_index")]


class TreeScore(models.Model):
    """A process reward model's scores of a tree's nodes, by index; any number of models per tree."""

    id = models.BigAutoField(primary_key=True)
    tree = models.ForeignKey(Tree, on_delete=models.CASCADE, related_name="scores")
    model = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="+")
    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")
    scores = models.JSONField(help_text="One number or null per node.")

    class Meta:
        constraints = [models.UniqueConstraint("tree", "model", name="one_score_per_model")]
