"""The parts of which a family of questions is made: sentences with rules, places in a solution, and cases.

A `Form` is one sentence of the taught style. Its slots are either *ruled* (computed from other values by a medical
rule) or plain (a fact of the question or a value that an earlier step computed). The same rules serve to write the
reference reasoning and to judge a step that a model wrote, so the two cannot drift apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from random import Random
from typing import ClassVar, Protocol

from meds3core.sandbox.template import Template, Value, Values
from meds3core.sandbox.verdict import ErrorKind
from meds3core.types.question import AnswerFormat

Rule = Callable[[Values], Value]

NOT_STATED = "not stated"
"""The value of a fact that the question does not give."""


class Level(StrEnum):
    """How hard a question is; easy ones rarely meet a misconception."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


@dataclass(frozen=True)
class Form:
    """One sentence of the taught style.

    `rules` gives the right value of each ruled slot. `misrules` make it a misconception: they say what an author who
    holds it writes instead. Such a sentence is wrong, with kind `flaw`, wherever its value differs from the rule's.
    `errors` names the kind of error of a wrong ruled slot where it is not `ARITHMETIC`. `implies` gives values that the
    sentence settles without writing them.
    """

    template: Template
    rules: Mapping[str, Rule] = field(default_factory=dict)
    misrules: Mapping[str, Rule] = field(default_factory=dict)
    flaw: ErrorKind = ErrorKind.WRONG_FORMULA
    errors: Mapping[str, ErrorKind] = field(default_factory=dict)
    implies: Mapping[str, Rule] = field(default_factory=dict)

    def error_of(self, slot: str) -> ErrorKind:
        """The kind of error when this ruled slot is wrong."""
        return self.flaw if slot in self.misrules else self.errors.get(slot, ErrorKind.ARITHMETIC)


@dataclass(frozen=True)
class Place:
    """One place in a solution: the right sentence and, at rate `rate`, the misconception that a learner may have."""

    right: Form
    wrong: Form | None = None
    rate: float = 0.0


@dataclass(frozen=True)
class Case:
    """One question with all that is needed to solve it, write about it and judge steps on it.

    `answer` is how the answer is written, with the one slot `answer`; `answer_from` is the value that it states.
    """

    family: str
    level: Level
    facts: Mapping[str, Value]
    text: str
    places: tuple[Place, ...]
    answer: Template
    answer_from: str
    answer_format: AnswerFormat

    @cached_property
    def truth(self) -> Values:
        """Every value of the right solution, facts included."""
        values = dict(self.facts)
        for place in self.places:
            for slot in place.right.template.slots:
                if slot in place.right.rules:
                    values[slot] = place.right.rules[slot](values)
            for slot, rule in place.right.implies.items():
                values[slot] = rule(values)
        return values

    @property
    def gold(self) -> str:
        """The right answer as a verifier wants it: without unit."""
        return str(self.truth[self.answer_from])


Wordings = Mapping[Level, tuple[Template, ...]]


class Family(Protocol):
    """A kind of question. `forms` are all its sentences, whatever the level."""

    name: ClassVar[str]
    wordings: ClassVar[Wordings]
    surface: ClassVar[frozenset[str]]
    """Facts that change the wording only; the others decide whether a question is a training or a test one."""
    forms: ClassVar[tuple[Form, ...]]

    def sample(self, rng: Random, level: Level) -> dict[str, Value]:
        """Draw the facts of a question."""
        ...

    def solve(self, facts: Values, level: Level, text: str) -> Case:
        """The case with these facts; also called with facts read back from a question's text."""
        ...


def sentence(
    text: str,
    *,
    misrules: Mapping[str, Rule] | None = None,
    flaw: ErrorKind = ErrorKind.WRONG_FORMULA,
    errors: Mapping[str, ErrorKind] | None = None,
    implies: Mapping[str, Rule] | None = None,
    **rules: Rule,
) -> Form:
    """A `Form`; keyword arguments are the rules of its slots."""
    return Form(Template(text), rules, misrules or {}, flaw, errors or {}, implies or {})
