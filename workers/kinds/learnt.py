"""What a reward model learnt from, by content: nothing that it has seen the answer to may measure it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meds3core.labels.people import labelled_names
from meds3core.training.methods import read_step_data
from meds3core.types.labels import LabelledTrajectory
from webapp.common.files import Store, folder_of
from webapp.registry.made_of import made_of
from webapp.registry.models import LabelSet, ModelVersion


@dataclass(frozen=True, slots=True)
class Learnt:
    """Of one training; questions go by the hash of their text."""

    steps: frozenset[str]
    """Names of the steps whose label it learnt, whoever gave it."""
    judged_questions: frozenset[str]
    """Questions on whose steps it learnt what people said."""
    questions: frozenset[str]
    """All questions that it learnt from."""
    missing: int
    """Label sets that were deleted since: what they held is not known."""

    def unknown(self, trajectories: Iterable[LabelledTrajectory]) -> Iterator[LabelledTrajectory]:
        """Those of questions on whose steps it learnt nothing from people."""
        return (each for each in trajectories if each.question.text_hash not in self.judged_questions)

    def met(self, trajectories: Iterable[LabelledTrajectory]) -> int:
        """How many of the labelled steps it learnt a label of."""
        return len(labelled_names(trajectories) & self.steps)


def learnt_by(model: ModelVersion) -> Learnt | None:
    """What a process reward model of this instance learnt from; None where it is not known how it was made."""
    made = made_of(model=model)
    if made is None:
        return None
    there = LabelSet.objects.filter(pk__in=made.sets, ready=True).order_by("id").values_list("pk", flat=True)
    folders = [folder_of(Store.LABELS, each) for each in there]
    data = read_step_data(folders, made.people) if folders else None
    records = data.records if data else ()
    judged = data.people if data else ()
    return Learnt(
        steps=frozenset(labelled_names(records)),
        judged_questions=frozenset(each.question.text_hash for each in judged),
        questions=frozenset(each.question.text_hash for each in records),
        missing=len(made.sets) - len(folders),
    )
