"""Which label sets made a reward model, and how people's and rollouts' went together in it."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from meds3core.config.jobs import PrmSpec
from meds3core.config.labels import PeopleConfig
from meds3core.config.references import Registered
from webapp.registry.ancestry import ancestry_of
from webapp.registry.models import ModelVersion


@dataclass(frozen=True, slots=True)
class MadeOf:
    """Of one training."""

    sets: tuple[UUID, ...]
    """In the order in which they were named."""
    people: PeopleConfig


def made_of(*, model: ModelVersion) -> MadeOf | None:
    """As its job, else its own record says it; of a stage of a loop the sets of the stages before. None: not known."""
    if not model.stage:
        try:
            spec = PrmSpec.model_validate(model.job.spec if model.job is not None else model.provenance.get("spec"))
        except ValidationError:
            return None
        named = (one.id for one in (spec.labels, *spec.beside) if isinstance(one, Registered))
        return MadeOf(tuple(named), spec.people)
    found = ancestry_of(team=model.team, model=model)
    direct = {one for one, other in found.edges if other == found.focus.key}
    sets = tuple(each.id for each in found.sources if each.kind == "labels" and each.key in direct)
    return MadeOf(sets, PeopleConfig()) if sets else None
