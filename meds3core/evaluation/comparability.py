"""May two results be compared at all? Refused, with the reason, where they do not answer the same questions alike.

Questions are told apart by content, never by id: a file with the same ids and four options instead of five is another
test. Results on different questions can be compared on the ones they share, but only when that is asked for.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import Field

from meds3core.errors import UserError
from meds3core.types.question import ChoiceFormat, OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.samples import SampleSource


class NotComparable(UserError):
    """Two results stand on different ground; the message gives every reason."""

    code = "not-comparable"

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class QuestionShape(Record):
    """What of a question decides whether a figure over it can be compared."""

    id: str
    content_hash: str
    source: str
    options: int = Field(ge=0, description="0: not a choice")
    has_context: bool | None
    gold: str


class Basis(Record):
    """What a result stands on."""

    prompt: str = Field(description="Name and version, e.g. plain@1")
    prompt_hash: str
    questions: tuple[QuestionShape, ...]

    @property
    def family(self) -> str:
        """The prompt's name without its version."""
        return self.prompt.partition("@")[0]


class Pairing(Record):
    """Which questions belong together: positions in the first and in the second result."""

    pairs: tuple[tuple[int, int], ...]
    only_first: int = 0
    only_second: int = 0
    notes: tuple[str, ...] = ()


class SourceForm(Record):
    """How the questions of one source are asked: with how many options, with or without their passages."""

    options: tuple[int, ...]
    context: tuple[bool, ...] = Field(description="Empty: unknown")


class Ground(Record):
    """A basis in short, small enough to stand beside every result: `refusals` compares two without their questions."""

    prompt: str
    prompt_hash: str
    questions: int
    content: str = Field(description="Digest of the questions' contents, whatever their order")
    gold: str = Field(description="Digest of the contents with their gold answers")
    sources: dict[str, SourceForm]

    @property
    def family(self) -> str:
        """The prompt's name without its version."""
        return self.prompt.partition("@")[0]


def ground_of(basis: Basis) -> Ground:
    """The basis in short."""
    by_source: dict[str, list[QuestionShape]] = {}
    for question in basis.questions:
        by_source.setdefault(question.source, []).append(question)
    return Ground(
        prompt=basis.prompt,
        prompt_hash=basis.prompt_hash,
        questions=len(basis.questions),
        content=_digest(question.content_hash for question in basis.questions),
        gold=_digest(f"{question.content_hash} {question.gold}" for question in basis.questions),
        sources={
            name: SourceForm(options=_options(members), context=tuple(sorted(_contexts(members))))
            for name, members in sorted(by_source.items())
        },
    )


def refusals(first: Ground, second: Ground) -> tuple[str, ...]:
    """Why two results may not be set side by side; empty where they may. As `pair` decides, without the questions."""
    reasons = []
    if first.family == second.family and first.prompt_hash != second.prompt_hash:
        reasons.append(_prompt_reason(first, second))
    for source in sorted(first.sources.keys() & second.sources.keys()):
        one, other = first.sources[source], second.sources[source]
        reasons += _form_reasons(source, one.options, other.options, set(one.context), set(other.context))
    if first.content != second.content:
        reasons.append(f"the question sets differ ({first.questions:,} questions and {second.questions:,})")
    elif first.gold != second.gold:
        reasons.append("some questions have another gold answer")
    return tuple(reasons)


def basis_of(source: SampleSource, questions: Sequence[Question | OpenQuestion]) -> Basis:
    """The basis of a sample set."""
    return Basis(
        prompt=source.prompt,
        prompt_hash=source.prompt_hash,
        questions=tuple(
            QuestionShape(
                id=question.id,
                content_hash=question.content_hash,
                source=question.source,
                options=len(question.answer_format.options) if isinstance(question.answer_format, ChoiceFormat) else 0,
                has_context=question.has_context,
                gold=question.gold.model_dump_json() if isinstance(question, Question) else "",
            )
            for question in questions
        ),
    )


def pair(first: Basis, second: Basis, *, shared: bool = False) -> Pairing:
    """Which questions of the two belong together.

    `shared`: only the questions that both have. Raises `NotComparable` with every reason that applies. A base asked
    with instructions and a trained model asked without may be compared (each with the prompt it was made for), which
    is noted; two versions of one prompt may not.
    """
    pairing = _match(first, second)
    notes, reasons = [], []
    if first.prompt_hash != second.prompt_hash:
        if first.family == second.family:
            reasons.append(_prompt_reason(first, second))
        else:
            notes.append(f"asked with different prompts: {first.prompt} and {second.prompt}")
    one, other = first.questions, second.questions
    if shared:
        one = tuple(first.questions[i] for i, _ in pairing.pairs)
        other = tuple(second.questions[j] for _, j in pairing.pairs)
        left_out = pairing.only_first + pairing.only_second
        if left_out:
            notes.append(
                f"only the {len(pairing.pairs)} shared questions are compared; {pairing.only_first} of the first and "
                f"{pairing.only_second} of the second are left out"
            )
    for source in sorted({question.source for question in one} & {question.source for question in other}):
        here, there = ([each for each in side if each.source == source] for side in (one, other))
        reasons += _form_reasons(source, _options(here), _options(there), _contexts(here), _contexts(there))
    regolded = sum(first.questions[i].gold != second.questions[j].gold for i, j in pairing.pairs)
    if regolded:
        reasons.append(f"{regolded} questions have another gold answer in the second")
    if not pairing.pairs:
        reasons.append("they share no question")
    elif not shared and (pairing.only_first or pairing.only_second):
        reasons.append(
            f"the question sets differ ({pairing.only_first} only in the first, {pairing.only_second} only in the "
            f"second, {len(pairing.pairs)} shared): ask for the shared ones (--shared), or evaluate both on one file"
        )
    if reasons:
        raise NotComparable("these results cannot be compared: " + "; ".join(reasons), reasons)
    return pairing.model_copy(update={"notes": tuple(notes)})


def _match(first: Basis, second: Basis) -> Pairing:
    """By content; a question that stands in a file twice is matched occurrence by occurrence."""
    places: dict[tuple[str, int], int] = {}
    seen: Counter[str] = Counter()
    for position, question in enumerate(second.questions):
        places[question.content_hash, seen[question.content_hash]] = position
        seen[question.content_hash] += 1
    pairs, seen = [], Counter()
    for position, question in enumerate(first.questions):
        found = places.get((question.content_hash, seen[question.content_hash]))
        seen[question.content_hash] += 1
        if found is not None:
            pairs.append((position, found))
    return Pairing(
        pairs=tuple(pairs),
        only_first=len(first.questions) - len(pairs),
        only_second=len(second.questions) - len(pairs),
    )


def _prompt_reason(first: Basis | Ground, second: Basis | Ground) -> str:
    return (
        f"the prompt differs ({first.prompt} with hash {first.prompt_hash[:8]}, {second.prompt} with hash "
        f"{second.prompt_hash[:8]}): draw both with one version"
    )


def _form_reasons(
    source: str, options: Sequence[int], others: Sequence[int], context: set[bool], other_context: set[bool]
) -> list[str]:
    """What of a source's questions differs: how many options they offer, whether they come with their passage."""
    name, reasons = source or "a source without a name", []
    if set(options) != set(others):
        reasons.append(f"{name} has {_words(options)} in the first and {_words(others)} in the second")
    if context and other_context and context != other_context:
        reasons.append(f"{name} is asked {_context(context)} in the first and {_context(other_context)} in the second")
    return reasons


def _options(questions: Sequence[QuestionShape]) -> tuple[int, ...]:
    return tuple(sorted({question.options for question in questions}))


def _contexts(questions: Sequence[QuestionShape]) -> set[bool]:
    return {question.has_context for question in questions if question.has_context is not None}


def _words(options: Iterable[int]) -> str:
    return " or ".join(f"{count} options" if count else "no options" for count in sorted(options, reverse=True))


def _context(flags: set[bool]) -> str:
    return "partly with its passages" if len(flags) > 1 else f"with{'' if True in flags else 'out'} its passages"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\0".join(sorted(parts)).encode(), digest_size=16).hexdigest()
