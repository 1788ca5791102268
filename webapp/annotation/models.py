"""What people say about steps of trees: for now, that somebody should look at one."""

from django.conf import settings
from django.db import models

from webapp.common.models import TeamEntity

COMMENT_LENGTH = 2000


class StepFlag(TeamEntity):
    """A mark on a step, with a comment. It is withdrawn rather than deleted: who said it, and when, stays."""

    tree = models.ForeignKey("trees.Tree", on_delete=models.CASCADE, related_name="flags")
    idx = models.PositiveIntegerField(help_text="Of the node in its tree.")
    comment = models.CharField(max_length=COMMENT_LENGTH, blank=True)
    flagged_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    flagged_by_name = models.CharField(max_length=150, help_text="As it was then; outlives the account.")
    withdrawn = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tree", "idx", "flagged_by"],
                condition=models.Q(withdrawn=None),
                name="one_standing_flag_per_person",
            )
        ]
        indexes = [models.Index(fields=["team", "-id"], name="flags_of_a_team")]

    @property
    def stands(self) -> bool:
        """Whether nobody withdrew it."""
        return self.withdrawn is None
