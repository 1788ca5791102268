"""What was measured of a policy on a benchmark; samples and the report lie in `files/evaluations/<id>/`."""

from django.db import models

from webapp.common.models import TeamEntity


class Evaluation(TeamEntity):
    """One policy on one benchmark, with every strategy that one set of samples gives."""

    job = models.ForeignKey("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="+")
    stage = models.CharField(max_length=80, blank=True, help_text="Of an evolution; empty for an evaluation.")
    name = models.CharField(max_length=200)
    ready = models.BooleanField(default=False)
    benchmark = models.ForeignKey("datasets.DatasetVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    policy = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    scorer = models.ForeignKey("registry.ModelVersion", null=True, on_delete=models.SET_NULL, related_name="+")
    questions = models.PositiveIntegerField(default=0)
    comparability = models.JSONField(
        default=dict, help_text="What must agree: prompt, options, context, and `ground` (evaluation.comparability)."
    )
    figures = models.JSONField(default=dict, help_text="The report's record (meds3core.evaluation.record).")

    class Meta:
        indexes = [models.Index(fields=["team", "-id"], name="evaluation_by_team")]

    def __str__(self) -> str:
        return self.name


class StrategyResult(models.Model):
    """One strategy of an evaluation: its accuracy with the interval, to sort and compare by."""

    id = models.BigAutoField(primary_key=True)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="results")
    strategy = models.CharField(max_length=80)
    n = models.PositiveIntegerField(default=1)
    accuracy = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    answered = models.FloatField(help_text="Share of questions with an answer.")

    class Meta:
        constraints = [models.UniqueConstraint("evaluation", "strategy", "n", name="one_result_per_strategy")]


class QuestionResult(models.Model):
    """What each strategy answered to one question, for wins, losses and drill-down."""

    id = models.BigAutoField(primary_key=True)
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="answers")
    question = models.ForeignKey("datasets.QuestionRow", null=True, on_delete=models.SET_NULL, related_name="+")
    question_hash = models.CharField(max_length=32)
    position = models.PositiveIntegerField()
    answers = models.JSONField(help_text="Per strategy: answer (null: none) and whether it is right.")

    class Meta:
        constraints = [models.UniqueConstraint("evaluation", "position", name="one_answer_per_question")]


class StoredComparison(models.Model):
    """What a comparison of two evaluations found, kept so that it is computed once. Goes with either of them."""

    id = models.BigAutoField(primary_key=True)
    first = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="+")
    asked = models.CharField(max_length=300, help_text="Format, whether on shared questions, and by which ways.")
    figures = models.JSONField(help_text="meds3core.evaluation.compare: Comparison or WayComparison.")

    class Meta:
        constraints = [models.UniqueConstraint("first", "second", "asked", name="one_comparison_as_asked")]
