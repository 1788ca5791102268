"""What people say about steps: flags, and queues of steps to be judged.

Judgements, adjudications and versions of instructions are never changed: what somebody said stays as it was said, and a
change of mind is one more row. `QueueItem.shown` is all that anybody is given before they have judged it.
"""

import uuid

from django.conf import settings
from django.db import models

from meds3core.judgements.items import TEXT_LENGTH, ItemMode
from meds3core.types.judgements import Severity, Verdict
from webapp.common.models import TeamEntity

COMMENT_LENGTH = 2000
RATER_LENGTH = 170
VERDICTS = [(each.value, each.value) for each in Verdict]
SEVERITIES = [(each.value, each.value) for each in Severity]


class StepFlag(TeamEntity):
    """A mark on a step of a tree or of an evaluation's answer, with a comment.

    It is withdrawn rather than deleted: who said it, and when, stays.
    """

    tree = models.ForeignKey("trees.Tree", null=True, on_delete=models.CASCADE, related_name="flags")
    evaluation = models.ForeignKey("evaluations.Evaluation", null=True, on_delete=models.CASCADE, related_name="flags")
    place = models.PositiveIntegerField(default=0, help_text="Of the question in its evaluation.")
    sample = models.IntegerField(default=-1, help_text="Of that question, from 0; -1: the greedy answer.")
    idx = models.PositiveIntegerField(help_text="Of the node in its tree, or of the step in its answer.")
    comment = models.CharField(max_length=COMMENT_LENGTH, blank=True)
    flagged_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    flagged_by_name = models.CharField(max_length=150, help_text="As it was then; outlives the account.")
    withdrawn = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tree", "idx", "flagged_by"],
                condition=models.Q(withdrawn=None, evaluation=None),
                name="one_standing_flag_per_person",
            ),
            models.UniqueConstraint(
                fields=["evaluation", "place", "sample", "idx", "flagged_by"],
                condition=models.Q(withdrawn=None, tree=None),
                name="one_standing_sample_flag",
            ),
            models.CheckConstraint(
                condition=models.Q(tree=None, evaluation__isnull=False) | models.Q(tree__isnull=False, evaluation=None),
                name="flag_on_one_thing",
            ),
        ]
        indexes = [models.Index(fields=["team", "-id"], name="flags_of_a_team")]

    @property
    def stands(self) -> bool:
        """Whether nobody withdrew it."""
        return self.withdrawn is None


# --- queues --------------------------------------------------------------------------------------------------------


class AnnotationQueue(TeamEntity):
    """Steps that people judge, one at a time."""

    class State(models.TextChoices):
        """`closed`: nothing is handed out; what was handed out before may still be saved."""

        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    name = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    mode = models.CharField(max_length=10, choices=[(each.value, each.value) for each in ItemMode], default="step")
    wanted = models.PositiveSmallIntegerField(default=2, help_text="k: people who judge each item.")
    per_person = models.PositiveIntegerField(null=True, help_text="Most items that one person judges; none: no limit.")
    control_share = models.FloatField(default=0.1, help_text="Of what a person is given; as far as there are any.")
    named_only = models.BooleanField(default=False, help_text="Whether only people with `is_named` may judge.")
    rules = models.JSONField(default=dict, help_text="FlagRules (meds3core.judgements.flagging) of the next filling.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    closed = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("team", "name", name="one_queue_per_name")]
        indexes = [models.Index(fields=["team", "-id"], name="queue_by_team")]

    def __str__(self) -> str:
        return self.name


class Instructions(models.Model):
    """One version of what annotators of a queue are told. Never changed; shown at first use and when a new one is."""

    id = models.BigAutoField(primary_key=True)
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="instructions")
    number = models.PositiveIntegerField(help_text="From 1.")
    text = models.TextField(help_text="Markdown.")
    examples = models.JSONField(default=list, help_text="Each: question, prefix, step, verdict, why.")
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    written_by_name = models.CharField(max_length=150)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint("queue", "number", name="one_instructions_per_number")]


class QueueMember(models.Model):
    """A person in a queue: named by a manager, or there because they opened it."""

    id = models.BigAutoField(primary_key=True)
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    is_named = models.BooleanField(default=False)
    instructions_seen = models.PositiveIntegerField(default=0, help_text="Number of the version; 0: none.")
    given = models.PositiveIntegerField(default=0, help_text="Items handed out; also where one's own pulls wait.")
    joined = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint("queue", "user", name="one_member_per_queue")]


class Filling(TeamEntity):
    """One act of putting steps into a queue: from what, by which rules, and what became of it."""

    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="fillings")
    source_kind = models.CharField(max_length=10, help_text="search, evaluation, flags, sent, import")
    source = models.UUIDField(null=True, help_text="The search or the evaluation; it may be gone.")
    source_title = models.CharField(max_length=200, blank=True, help_text="As it was then.")
    rules = models.JSONField(default=dict, help_text="FlagRules.")
    model = models.UUIDField(null=True, help_text="The reward model whose scores were used.")
    asked = models.PositiveIntegerField(help_text="Items wanted.")
    seed = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0, help_text="Chosen, but in the queue already.")
    counts = models.JSONField(default=dict, help_text="Added, by rule.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["queue", "-id"], name="fillings_of_a_queue")]


class QueueItem(TeamEntity):
    """A frozen copy of a step with its surroundings; what it was copied from may be deleted.

    A place is taken by the conditional UPDATE of `taken`, so that no item is given to more people than wanted. Its id
    is random: it tells neither age nor order.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="items")
    filling = models.ForeignKey(Filling, null=True, on_delete=models.SET_NULL, related_name="items")
    prefix_hash = models.CharField(max_length=32, help_text="Of question and steps before (meds3core.labels.prefix).")
    step_hash = models.CharField(max_length=32, help_text="Of the prefix with all steps to be judged.")
    shown = models.JSONField(help_text="ItemShown (meds3core.judgements.items).")
    steps = models.PositiveSmallIntegerField(default=1, help_text="How many there are to be judged.")

    # Kept back until the person's judgement is saved:
    kept = models.JSONField(help_text="ItemKept (meds3core.judgements.items).")
    rule = models.CharField(max_length=16, blank=True, help_text="Which chose it.")
    priority = models.FloatField(default=0.0, help_text="Expected information of an answer, in bits.")
    is_control = models.BooleanField(default=False, help_text="Its answer is known; everybody may be given it.")
    known = models.JSONField(null=True, help_text="Of a control item: a StepAnswer per step.")

    source_kind = models.CharField(max_length=10, help_text="tree, sample, chat, import, sent")
    source = models.UUIDField(null=True, help_text="The tree or the evaluation; it may be gone.")
    source_place = models.CharField(max_length=40, blank=True, help_text="Node; or question, sample, step.")
    source_job = models.UUIDField(null=True, help_text="The search, loop or evaluation job; it may be gone.")

    wanted = models.PositiveIntegerField(help_text="k of its queue; more where one asked for one more.")
    taken = models.PositiveIntegerField(default=0, help_text="Places taken: locks that stand, and judgements.")
    judged = models.PositiveIntegerField(default=0, help_text="People who judged it.")
    is_free = models.BooleanField(default=True, help_text="A place can be taken. Written together with `taken`.")
    withdrawn = models.DateTimeField(null=True, help_text="By a manager: it is handed out no more.")
    completed = models.DateTimeField(null=True, help_text="When `judged` reached `wanted`.")

    class Meta:
        constraints = [models.UniqueConstraint("queue", "prefix_hash", "step_hash", name="one_item_per_step")]
        indexes = [
            models.Index(fields=["queue", "is_control", "is_free", "-priority", "id"], name="item_to_pull"),
            models.Index(fields=["source"], name="item_by_source"),
            models.Index(fields=["source_job"], name="item_by_source_job"),
        ]


class Assignment(TeamEntity):
    """That one rater was given one item: the lock, and which of their judgements counts.

    `rater` names the person for ever: `user:<id>`, or `import:<source>:<name>` for those made elsewhere.
    """

    class State(models.TextChoices):
        """`released`: given back; `skipped`: not wanted; `seen`: read in review, thus never to be judged blind."""

        LOCKED = "locked", "Locked"
        JUDGED = "judged", "Judged"
        EXPIRED = "expired", "Expired"
        RELEASED = "released", "Released"
        SKIPPED = "skipped", "Skipped"
        SEEN = "seen", "Seen in review"

    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="assignments")
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="assignments")
    annotator = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    rater = models.CharField(max_length=RATER_LENGTH)
    rater_name = models.CharField(max_length=150, help_text="As it was then; outlives the account.")
    state = models.CharField(max_length=8, choices=State, default=State.LOCKED)
    expires = models.DateTimeField(null=True, help_text="Of the lock, by the database's clock.")
    pulled = models.DateTimeField(null=True)
    judged = models.DateTimeField(null=True, help_text="When the round was saved that counts for agreement.")
    revealed = models.DateTimeField(null=True, help_text="When the person was first shown what the item keeps back.")
    rounds = models.PositiveSmallIntegerField(default=0, help_text="Saved so far.")
    blind_round = models.PositiveSmallIntegerField(default=0, help_text="The last one made blind: agreement. 0: none.")
    current_round = models.PositiveSmallIntegerField(default=0, help_text="What the person says now: labels. 0: none.")

    class Meta:
        constraints = [models.UniqueConstraint("item", "rater", name="one_assignment_per_rater")]
        indexes = [
            models.Index(fields=["queue", "state", "expires"], name="assignment_to_expire"),
            models.Index(fields=["queue", "rater", "-judged"], name="assignment_by_rater"),
        ]


class Judgement(TeamEntity):
    """What one rater said of one step, once. Never changed: rounds count what they said of the same item.

    The round that agreement reads is `assignment.blind_round`, the one that labels read `assignment.current_round`.
    """

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="judgements")
    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="judgements")
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="judgements")
    rater = models.CharField(max_length=RATER_LENGTH)
    client_id = models.UUIDField(help_text="Made by the client, one per saving: sent twice it is saved once.")
    round = models.PositiveSmallIntegerField(help_text="From 1.")
    position = models.PositiveSmallIntegerField(default=0, help_text="Of the step in its item.")
    verdict = models.CharField(max_length=10, choices=VERDICTS)
    errors = models.JSONField(default=list, help_text="Values of ErrorKind.")
    severity = models.CharField(max_length=10, choices=SEVERITIES, blank=True, help_text="Empty: not said.")
    correction = models.CharField(max_length=TEXT_LENGTH, blank=True)
    comment = models.CharField(max_length=TEXT_LENGTH, blank=True)
    blind = models.BooleanField(help_text="Made before the person was shown what the item keeps back.")
    late = models.BooleanField(default=False, help_text="The lock had expired.")
    seconds = models.FloatField(null=True, help_text="That the person spent on the item, as their client measured.")
    instructions = models.PositiveIntegerField(default=0, help_text="Version they had been shown; 0: none.")

    class Meta:
        constraints = [
            models.UniqueConstraint("assignment", "round", "position", name="one_judgement_per_round"),
            models.UniqueConstraint("rater", "client_id", "position", name="one_judgement_per_client_id"),
        ]
        indexes = [models.Index(fields=["queue", "-id"], name="judgements_of_a_queue")]


class Adjudication(TeamEntity):
    """What a reviewer decided about one step, after all was shown. Never changed; the newest one holds."""

    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="adjudications")
    queue = models.ForeignKey(AnnotationQueue, on_delete=models.CASCADE, related_name="adjudications")
    position = models.PositiveSmallIntegerField(default=0, help_text="Of the step in its item.")
    verdict = models.CharField(max_length=10, choices=VERDICTS)
    errors = models.JSONField(default=list, help_text="Values of ErrorKind.")
    severity = models.CharField(max_length=10, choices=SEVERITIES, blank=True, help_text="Empty: not said.")
    correction = models.CharField(max_length=TEXT_LENGTH, blank=True)
    comment = models.CharField(max_length=TEXT_LENGTH, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    decided_by_name = models.CharField(max_length=150)
    client_id = models.UUIDField(null=True, help_text="Sent twice it is saved once.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "client_id", "position"],
                condition=models.Q(client_id__isnull=False),
                name="one_adjudication_per_client_id",
            )
        ]
        indexes = [models.Index(fields=["queue", "-id"], name="adjudications_of_a_queue")]
