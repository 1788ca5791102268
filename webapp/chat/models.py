"""Conversations with models. A message's row is the truth of its turn; the stream in Redis only shows it sooner.

A conversation is a tree: a message hangs below the one that it answers or continues, and the branch that is shown ends
at `Conversation.leaf`. Turns are written by `services` (people) and `turns` (the chat worker), which is fenced by
`attempt` as jobs are.
"""

from django.conf import settings
from django.db import models

from webapp.common.models import Entity, TeamEntity

TITLE_LENGTH = 200
COMMENT_LENGTH = 2000


class State(models.TextChoices):
    """Where a turn stands. A person's own message is done when it is sent."""

    QUEUED = "queued", "Waiting"
    ANSWERING = "answering", "Answering"
    DONE = "done", "Done"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


OPEN = (State.QUEUED, State.ANSWERING)
"""Turns that are still to be answered, or are being answered."""


class Role(models.TextChoices):
    """Who says it, as chat templates name them."""

    SYSTEM = "system", "Instruction"
    USER = "user", "Question"
    ASSISTANT = "assistant", "Answer"


class Conversation(TeamEntity):
    """What one person talks about with models; others of the team may read it when it is shared."""

    class Door(models.TextChoices):
        """Where it came from. What a program asked through the API is forgotten when it was answered; a side of a duel
        is shown on the duel's page only.
        """

        PAGE = "page", "Page"
        API = "api", "API"
        DUEL = "duel", "Side by side"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="None: the account was deleted. What was shared stays.",
    )
    left = models.DateTimeField(null=True, help_text="Since when its owner is not of the team any more.")
    door = models.CharField(max_length=4, choices=Door, default=Door.PAGE)
    title = models.CharField(max_length=TITLE_LENGTH, blank=True)
    shared = models.BooleanField(default=False, help_text="Whether the team may read it.")
    touched = models.DateTimeField(help_text="When somebody last said something, by the database's clock.")
    leaf = models.ForeignKey("Message", null=True, on_delete=models.SET_NULL, related_name="+")
    policy = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    endpoint = models.ForeignKey("registry.Endpoint", null=True, on_delete=models.SET_NULL, related_name="+")
    scorer = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    config = models.JSONField(default=dict, help_text="A ChatConfig (meds3core.config.chat), for the next turn.")

    class Meta:
        indexes = [
            models.Index(fields=["team", "owner", "door", "-touched"], name="conversations_of_a_person"),
            models.Index(fields=["team", "shared", "-touched"], name="conversations_shared"),
            models.Index(fields=["door", "touched"], name="conversations_by_age"),
            models.Index(fields=["left"], name="conversations_left", condition=models.Q(left__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title or "New conversation"


class MessageManager(models.Manager["Message"]):
    """Reads no text twice: `folded` is there to be searched."""

    def get_queryset(self) -> models.QuerySet["Message"]:
        """Without it."""
        return super().get_queryset().defer("folded")


class Message(Entity):
    """One message. Of an answer also what it is answered with, by whom, and how far it is."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="replies")
    role = models.CharField(max_length=9, choices=Role)
    text = models.TextField(blank=True)
    folded = models.TextField(
        blank=True, help_text="The text as searches see it (webapp.datasets.search.folded), once it is as it stays."
    )
    state = models.CharField(max_length=9, choices=State, default=State.DONE)

    policy = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    endpoint = models.ForeignKey("registry.Endpoint", null=True, on_delete=models.SET_NULL, related_name="+")
    scorer = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    model_name = models.CharField(max_length=260, blank=True, help_text="As it was called then.")
    config = models.JSONField(default=dict, help_text="The ChatConfig of this turn.")
    given = models.TextField(blank=True, help_text="What the answer goes on from: steps of another one, or all of it.")

    attempt = models.PositiveIntegerField(default=0, help_text="Raised by every claim; a write names its attempt.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Lost leases and engines that broke.")
    worker = models.CharField(max_length=120, blank=True)
    lease_expires = models.DateTimeField(null=True, help_text="By the database's clock.")
    stop_asked = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True, help_text="What it waits for, in words.")
    seq = models.PositiveIntegerField(default=0, help_text="Of the last entry of the stream that `text` holds.")
    steps = models.JSONField(default=list, help_text="[begin, end, score or none] of each step, offsets in `text`.")
    candidates = models.JSONField(default=list, help_text="What the answer was chosen from: text, answer, score.")
    chosen = models.PositiveSmallIntegerField(null=True, help_text="Which of them.")
    why = models.CharField(max_length=200, blank=True)
    finish = models.CharField(max_length=10, blank=True, help_text="end, stop, length.")
    prompt_tokens = models.PositiveIntegerField(default=0)
    generated_tokens = models.PositiveIntegerField(default=0)
    scored_tokens = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)

    objects = MessageManager()

    class Meta:
        indexes = [
            models.Index(fields=["conversation", "id"], name="messages_of_a_conversation"),
            models.Index(
                fields=["state", "id"], name="turns_to_answer", condition=models.Q(state__in=("queued", "answering"))
            ),
        ]


class ChatRetention(models.Model):
    """For how long a team keeps conversations that nobody goes on with."""

    team = models.OneToOneField("accounts.Team", primary_key=True, on_delete=models.CASCADE, related_name="+")
    days = models.PositiveIntegerField(null=True, help_text="None: until somebody deletes them.")


class MessageTree(models.Model):
    """The tree that an answer was chosen from."""

    message = models.OneToOneField(Message, primary_key=True, on_delete=models.CASCADE, related_name="tree")
    arena = models.BinaryField(help_text="zlib of the tree's line (meds3core.data.trees.tree_line).")


class Rating(models.Model):
    """What one person thinks of one answer. Said anew it replaces what they said before."""

    class Thumb(models.IntegerChoices):
        """Up or down."""

        UP = 1, "Good answer"
        DOWN = -1, "Bad answer"

    id = models.BigAutoField(primary_key=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="ratings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    thumb = models.SmallIntegerField(choices=Thumb)
    comment = models.CharField(max_length=COMMENT_LENGTH, blank=True)
    said = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint("message", "user", name="one_rating_per_person")]


# --- two models side by side -----------------------------------------------------------------------------------------


class Duel(TeamEntity):
    """The same questions to two models, each side a conversation of its own. `blind`: unnamed until one has voted."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=TITLE_LENGTH, blank=True)
    left = models.OneToOneField(Conversation, on_delete=models.CASCADE, related_name="duel_left")
    right = models.OneToOneField(Conversation, on_delete=models.CASCADE, related_name="duel_right")
    blind = models.BooleanField()
    named = models.DateTimeField(null=True, help_text="When a blind one's models were named.")

    class Meta:
        indexes = [models.Index(fields=["team", "owner", "-id"], name="duels_of_a_person")]

    def __str__(self) -> str:
        return self.title or "New comparison"

    @property
    def hides(self) -> bool:
        """Whether nobody may be told yet which model is which."""
        return self.blind and self.named is None


class DuelVote(TeamEntity):
    """Which of two answers to the same question was better. It names the models, holds no text, and outlives both."""

    class Verdict(models.TextChoices):
        """Equally good and equally bad both count as half a win for each."""

        LEFT = "left", "Left is better"
        RIGHT = "right", "Right is better"
        GOOD = "good", "Both are good"
        BAD = "bad", "Both are bad"

    duel = models.ForeignKey(Duel, null=True, on_delete=models.SET_NULL, related_name="votes")
    group = models.UUIDField(help_text="Id of the duel: votes of one are not independent.")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    turn = models.PositiveIntegerField(help_text="Which question of the duel, from 0.")
    left = models.CharField(max_length=60, help_text="model:<id> or remote:<id>.")
    right = models.CharField(max_length=60)
    left_name = models.CharField(max_length=260, help_text="As it was called then.")
    right_name = models.CharField(max_length=260)
    verdict = models.CharField(max_length=5, choices=Verdict)
    blind = models.BooleanField(help_text="Said before one was told which model is which.")

    class Meta:
        constraints = [models.UniqueConstraint("group", "turn", name="one_vote_per_question")]
        indexes = [models.Index(fields=["team", "-id"], name="votes_of_a_team")]
