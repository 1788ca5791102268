"""What depends on a model: what forbids its deletion, and what would only lose sight of where it came from."""

from dataclasses import dataclass

from django.db.models import Q

from webapp.evaluations.models import Evaluation
from webapp.jobs.models import JobInput
from webapp.jobs.transitions import ENDED
from webapp.registry.models import ModelVersion
from webapp.trees.models import Tree, TreeScore

NAMED = 5
"""So many are named; the others are counted."""


@dataclass(frozen=True)
class Dependants:
    """In words for a person."""

    blocking: list[str]
    """What must go or end first."""
    losing: list[str]
    """What stays, but cannot be made again."""


def dependants_of(*, model: ModelVersion) -> Dependants:
    """What was made from it, aliases and unfinished jobs forbid it; finished jobs and evaluations lose their source."""
    blocking, losing = [], []
    if model.team.is_system:
        blocking.append("it comes with the product")
    children = ModelVersion.objects.filter(base=model)
    blocking += _named("the adapter", "adapters", [str(each) for each in children.filter(is_adapter=True)])
    blocking += _named(
        "the model made from it,", "models made from it", [str(m) for m in children.exclude(is_adapter=True)]
    )
    blocking += _named("the alias", "aliases", [each.alias for each in model.aliases.order_by("alias")])
    using = JobInput.objects.filter(kind="model", thing=model.pk).select_related("job").order_by("-job_id")
    blocking += _named(
        "the unfinished job", "unfinished jobs", [str(each.job) for each in using.exclude(job__state__in=ENDED)]
    )
    ended = using.filter(job__state__in=ENDED).count()
    if ended:
        losing.append(f"{ended} finished job{'s' if ended > 1 else ''} used it and could not be run again")
    measured = Evaluation.objects.filter(Q(policy=model) | Q(scorer=model), ready=True).count()
    if measured:
        losing.append(f"{measured} evaluation{'s' if measured > 1 else ''} measured it and would not name it any more")
    scored = TreeScore.objects.filter(model=model).count()
    if scored:
        losing.append(f"its scores of {scored:,} tree{'s' if scored > 1 else ''} go with it")
    grown = Tree.objects.filter(policy=model).count()
    if grown:
        losing.append(f"{grown:,} tree{'s' if grown > 1 else ''} that it grew would not name it any more")
    return Dependants(blocking, losing)


def _named(one: str, many: str, names: list[str]) -> list[str]:
    if not names:
        return []
    if len(names) == 1:
        return [f"{one} {names[0]} depends on it"]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{many} depend on it: {', '.join(names[:NAMED])}{more}"]
