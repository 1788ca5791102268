"""How verdicts, kinds of error, severities and rules are called on pages, and the keys that they have at first."""

from collections.abc import Mapping
from dataclasses import dataclass

from meds3core.judgements.flagging import Rule
from meds3core.types.judgements import ErrorKind, Severity, Verdict


@dataclass(frozen=True, slots=True)
class Choice:
    """One button of the work page."""

    value: str
    label: str
    key: str


VERDICTS: Mapping[str, str] = {
    Verdict.GOOD.value: "Good",
    Verdict.NEUTRAL.value: "Neutral",
    Verdict.BAD.value: "Bad",
    Verdict.CANT_TELL.value: "Can’t tell",
}

KINDS = (
    Choice(ErrorKind.WRONG_FACT.value, "Wrong fact", "f"),
    Choice(ErrorKind.WRONG_INFERENCE.value, "Wrong inference", "i"),
    Choice(ErrorKind.MISREAD_QUESTION.value, "Misread the question", "m"),
    Choice(ErrorKind.ARITHMETIC.value, "Arithmetic", "a"),
    Choice(ErrorKind.CONTRADICTION.value, "Contradiction", "x"),
    Choice(ErrorKind.UNSAFE.value, "Unsafe", "s"),
    Choice(ErrorKind.IRRELEVANT.value, "Irrelevant", "r"),
    Choice(ErrorKind.OTHER.value, "Something else", "o"),
)
assert {kind.value for kind in KINDS} == {kind.value for kind in ErrorKind}

SEVERITIES = (
    Choice(Severity.MINOR.value, "Minor", "5"),
    Choice(Severity.MODERATE.value, "Moderate", "6"),
    Choice(Severity.SEVERE.value, "Severe", "7"),
)
assert {each.value for each in SEVERITIES} == {each.value for each in Severity}

RULES: Mapping[str, str] = {
    Rule.FLAGGED.value: "Flagged by somebody",
    Rule.DROP.value: "The value falls at it",
    Rule.DISAGREEMENT.value: "Reward model and rollouts disagree",
    Rule.BAD_IN_RIGHT.value: "Looks bad in a right answer",
    Rule.REFLECTION.value: "Takes back what was said",
    Rule.UNCERTAIN.value: "The reward model is unsure",
    Rule.RANDOM.value: "Drawn by chance",
}
assert set(RULES) == {rule.value for rule in Rule}


def label_of(value: str) -> str:
    """Any of these in words; a word that is unknown stays as it is."""
    named = {choice.value: choice.label for choice in (*KINDS, *SEVERITIES)}
    return VERDICTS.get(value) or named.get(value) or RULES.get(value) or value
