"""What goes with a model: the reward model that scores its steps, and questions to try it with."""

from meds3core.types.question import Question
from webapp.accounts.models import Team
from webapp.chat.selectors import scorers_of
from webapp.datasets.models import DatasetVersion
from webapp.datasets.selectors import questions_of
from webapp.evaluations.selectors import evaluations_of
from webapp.registry.models import ModelVersion

EXAMPLES = 3


def scorer_for(*, team: Team, policy: ModelVersion) -> ModelVersion | None:
    """The reward model of the loop that made the policy, else the team's newest; none where there is none."""
    rows = list(scorers_of(team=team)[:200])
    same = (row for row in rows if policy.job_id is not None and row.job_id == policy.job_id)
    return next(same, None) or next((row for row in rows if row.team_id == team.pk), None) or next(iter(rows), None)


def examples_for(*, team: Team, policy: ModelVersion | None) -> list[str]:
    """Questions that the policy was measured on, of the newest evaluation; those that come with the product for a
    model that comes with it; else none.
    """
    version = _measured_on(team, policy) if policy is not None else None
    if version is None:
        return []
    questions: list[Question] = list(questions_of(version_id=version, limit=EXAMPLES))
    return [question.text for question in questions]


def _measured_on(team: Team, policy: ModelVersion) -> object:
    rows = evaluations_of(team=team).filter(policy=policy, benchmark__deleted=None).exclude(benchmark=None)
    found = rows.order_by("-id").values_list("benchmark", flat=True).first()
    if found is None and policy.team.is_system:
        versions = DatasetVersion.objects.filter(team=policy.team, ready=True, deleted=None)
        found = versions.order_by("-id").values_list("pk", flat=True).first()
    return found
