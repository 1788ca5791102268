"""Does a policy still know the answer when the question looks different? Each transform against the originals, paired.

Shuffled options, renamed letters and a distractor leave the answer what it was: accuracy should stay. A missing key
fact takes the ground away: accuracy *should* fall, and a policy that still gives the right answer has guessed or knew
the question before.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from meds3core.config.evaluation import ProbeConfig, TransformName
from meds3core.errors import UserError
from meds3core.evaluation.accuracy import accuracy_share
from meds3core.evaluation.intervals import LEVEL, Estimate
from meds3core.evaluation.paired import McNemar, PairedDifference, mcnemar, paired_difference
from meds3core.evaluation.transforms import TRANSFORMS
from meds3core.types.question import ChoiceFormat, OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.samples import QuestionSamples, Sample


class TransformFigures(Record):
    """Greedy answers to changed questions against those to the same questions unchanged."""

    transform: TransformName
    questions: int = Field(description="To which the transform applied")
    not_applicable: int
    original: Estimate
    changed: Estimate
    difference: PairedDifference = Field(description="Changed minus original")
    mcnemar: McNemar
    same_answer: Estimate = Field(description="Share of equal answers; of options their text counts, not the letter")
    no_answer: Estimate = Field(description="Share without an answer to the changed question")


def transformed(questions: Sequence[Question], config: ProbeConfig) -> dict[TransformName, tuple[list[Question], int]]:
    """The changed questions of each transform, and to how many of the first `config.questions` it does not apply."""
    chosen = questions[: config.questions]
    found: dict[TransformName, tuple[list[Question], int]] = {}
    for name in config.transforms:
        changed = [TRANSFORMS[name](question, config.seed) for question in chosen]
        kept = [question for question in changed if question is not None]
        found[name] = kept, len(chosen) - len(kept)
    return found


def transform_figures(
    name: TransformName,
    originals: Sequence[QuestionSamples],
    changed: Sequence[QuestionSamples],
    not_applicable: int = 0,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> TransformFigures | None:
    """Pair by question id, first sample against first sample. None where no question was changed.

    Raises `UserError` when a changed question's original is missing.
    """
    by_id: Mapping[str, QuestionSamples] = {row.question.id: row for row in originals}
    missing = [row.question.id for row in changed if row.question.id not in by_id]
    if missing:
        raise UserError(f"{len(missing)} changed questions have no original among the greedy answers")
    if not changed:
        return None
    pairs = [(by_id[row.question.id], row) for row in changed]
    before = [float(old.samples[0].correct is True) for old, _ in pairs]
    after = [float(new.samples[0].correct is True) for _, new in pairs]
    same = [
        said(old.question, old.samples[0]) is not None
        and said(old.question, old.samples[0]) == said(new.question, new.samples[0])
        for old, new in pairs
    ]
    silent = [float(new.samples[0].answer is None) for _, new in pairs]
    return TransformFigures(
        transform=name,
        questions=len(pairs),
        not_applicable=not_applicable,
        original=accuracy_share(before, level=level, seed=seed),
        changed=accuracy_share(after, level=level, seed=seed),
        difference=paired_difference(before, after, level=level, seed=seed),
        mcnemar=mcnemar(before, after),
        same_answer=accuracy_share([float(each) for each in same], level=level, seed=seed),
        no_answer=accuracy_share(silent, level=level, seed=seed),
    )


def said(question: OpenQuestion, sample: Sample) -> str | None:
    """What an answer means, whatever the letters are: an option's text, else the normal form."""
    form = question.answer_format
    if sample.answer is None or not isinstance(form, ChoiceFormat):
        return sample.answer
    return form.text_of(sample.answer) or sample.answer
