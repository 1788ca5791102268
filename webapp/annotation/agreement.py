"""Whether the people of a queue agree, and whether they are right where the answer is known.

Computed when asked for, from everybody's first, blind words: `meds3core.judgements.agreement` has the figures and what
they mean. In them people go by `Assignment.rater`; `names` has what to call them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from meds3core.judgements.agreement import AgreementFigures, agreement_figures
from webapp.annotation.models import AnnotationQueue
from webapp.annotation.said import first_words

RESAMPLES, FEWER = 1000, 300
"""Of the intervals, for which a page waits; fewer where there are more than `MANY` judgements."""
MANY = 3_000


@dataclass(frozen=True, slots=True)
class QueueAgreement:
    """A queue's figures, and the name of each rater in them."""

    figures: AgreementFigures
    names: Mapping[str, str]


def agreement_of(*, queue: AnnotationQueue, resamples: int | None = None) -> QueueAgreement:
    """All figures of a queue: over all its people, each pair of them, each kind of error, each person.

    Withdrawn items and rounds made in sight of the scores count nowhere.
    """
    said, names = first_words(queue=queue)
    resamples = resamples or (RESAMPLES if len(said) <= MANY else FEWER)
    return QueueAgreement(agreement_figures(said, resamples=resamples), names)
