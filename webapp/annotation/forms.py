"""Forms of queues: how one works (`QueueSettings`), what it is filled from, its instructions, who judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.forms.boundfield import BoundField

from meds3core.judgements.flagging import Rule
from meds3core.judgements.items import TEXT_LENGTH, StepAnswer
from meds3core.types.judgements import ErrorKind, Severity, Verdict
from webapp.accounts.models import Team
from webapp.annotation.filling import MOST_ITEMS, FillingPreview, Source
from webapp.annotation.models import AnnotationQueue
from webapp.annotation.queues import QueueSettings
from webapp.annotation.words import KINDS, RULES, SEVERITIES, VERDICTS
from webapp.common.spec_forms import SpecForm
from webapp.evaluations.selectors import evaluations_to_choose
from webapp.jobs.models import Job
from webapp.registry.models import ModelKind
from webapp.trees.models import Tree
from webapp.trees.overviews import model_options

FLAGS = "flags"
_LABELS = {
    "name": "Name of the queue",
    "mode": "What a person judges",
    "wanted": "Judgements of each step",
    "per_person": "Limit for one person",
    "control_share": "Share of control items",
    "named_only": "Named people only",
    "rules.least_drop": "from a loss of",
    "rules.least_disagreement": "from a distance of",
    "rules.bad_below": "below",
    "rules.uncertain_within": "within",
    "rules.most_per_question": "Limit for one question",
}
_THRESHOLDS = {
    Rule.DROP: "rules.least_drop",
    Rule.DISAGREEMENT: "rules.least_disagreement",
    Rule.BAD_IN_RIGHT: "rules.bad_below",
    Rule.UNCERTAIN: "rules.uncertain_within",
}
_MODES = [("step", "One step at a time"), ("trajectory", "A whole answer, up to its first bad step")]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as the form shows it: its share, its threshold, what it finds and what it would add."""

    rule: str
    label: str
    share: BoundField
    threshold: BoundField | None
    found: int | None
    added: int | None


def settings_form(data: Any = None, *, start: QueueSettings | None = None, name: str = "") -> SpecForm:
    """How a queue works. `start`: the settings of a queue that there is."""
    first = start.model_dump(mode="json") if start else {"name": name}
    labels = _LABELS | {f"rules.{rule.value.replace('-', '_')}": RULES[rule.value] for rule in Rule}
    form = SpecForm(QueueSettings, data, start=first, labels=labels)
    form.fields["mode"].choices = _MODES  # type: ignore[attr-defined]
    form.fields["control_share"].widget.attrs["step"] = "0.05"
    return form


def rules_form(data: Any = None, *, start: QueueSettings) -> SpecForm:
    """The rules alone; everything else stays as it is in `start`."""
    labels = _LABELS | {f"rules.{rule.value.replace('-', '_')}": RULES[rule.value] for rule in Rule}
    others = [name for name in QueueSettings.model_fields if name != "rules"]
    return SpecForm(QueueSettings, data, start=start.model_dump(mode="json"), labels=labels, left_out=others)


def rule_rows(form: SpecForm, preview: FillingPreview | None = None) -> list[RuleRow]:
    """The rules of a settings form with what a preview says of each."""
    rows = []
    for rule in Rule:
        threshold = _THRESHOLDS.get(rule)
        rows.append(
            RuleRow(
                rule=rule.value,
                label=RULES[rule.value],
                share=form[f"rules.{rule.value.replace('-', '_')}"],
                threshold=form[threshold] if threshold else None,
                found=preview.matching.get(rule, 0) if preview else None,
                added=preview.chosen.get(rule, 0) if preview else None,
            )
        )
    return rows


class SourceForm(forms.Form):
    """What a queue is filled from. `source_of()` once it is valid."""

    source = forms.ChoiceField(label="Steps from")
    items = forms.IntegerField(label="How many items", min_value=1, max_value=MOST_ITEMS, initial=200)
    model = forms.ChoiceField(
        label="Scores of",
        required=False,
        help_text="The reward model that the rules read. Without one, its rules find nothing.",
    )

    def __init__(self, data: Any = None, *, team: Team, chosen: str = "") -> None:
        super().__init__(data)
        self.fields["source"].choices = source_choices(team=team)  # type: ignore[attr-defined]
        prms = [(value.rpartition(":")[2], label) for value, label in model_options(team=team, kind=ModelKind.PRM)]
        self.fields["model"].choices = [("", "the newest that scored anything there"), *prms]  # type: ignore[attr-defined]
        offered = [value for _, group in self.fields["source"].choices for value, _ in group]  # type: ignore[attr-defined]
        self.fields["source"].initial = next((each for each in offered if chosen and each.startswith(chosen)), None)

    @property
    def wants_flags(self) -> bool:
        """Whether the steps are those that people flagged, all of them: no rule chooses among these."""
        return bool(self.cleaned_data["source"] == FLAGS)

    def source_of(self) -> Source:
        """The search, loop or evaluation that was chosen."""
        kind, thing, stage = [*self.cleaned_data["source"].split(":"), ""][:3]
        model = self.cleaned_data["model"]
        return Source(kind=kind, id=UUID(thing), stage=stage or None, model=UUID(model) if model else None)


def source_choices(*, team: Team) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything that a queue of the team can be filled from: searches and stages of loops, evaluations, flags."""
    stages = Tree.objects.filter(team=team).order_by().values_list("job", "stage").distinct()
    by_job: dict[UUID, list[str]] = {}
    for job, stage in stages:
        by_job.setdefault(job, []).append(stage)
    jobs = Job.objects.filter(team=team, pk__in=by_job).defer("spec", "result").order_by("-pk")[:300]
    grown = [
        (f"search:{job.pk}:{stage}" if stage else f"search:{job.pk}", f"{job}{f', {stage}' if stage else ''}")
        for job in jobs
        for stage in sorted(by_job[job.pk])
    ]
    measured = [(f"evaluation:{each.pk}", str(each)) for each in evaluations_to_choose(team=team)]
    flagged = [(FLAGS, "Steps that were flagged")] if grown or measured else []
    groups = [("Searches and loops", grown), ("Evaluations", measured), ("People", flagged)]
    return [(title, choices) for title, choices in groups if choices]


class InstructionsForm(forms.Form):
    """A new version of what annotators are told; examples come by `ExampleFormSet`."""

    text = forms.CharField(
        label="Instructions",
        max_length=50_000,
        widget=forms.Textarea(attrs={"rows": 14}),
        help_text="Markdown. Everybody is shown a new version before their next step.",
    )


class ExampleForm(forms.Form):
    """A step and what is to be said of it."""

    question = forms.CharField(max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}))
    prefix = forms.CharField(
        label="Steps before", required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 2})
    )
    step = forms.CharField(label="The step", max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}))
    verdict = forms.ChoiceField(choices=list(VERDICTS.items()))
    why = forms.CharField(required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 2}))


ExampleFormSet = forms.formset_factory(ExampleForm, extra=1, can_delete=True, max_num=20)


class PeopleForm(forms.Form):
    """Who may judge, where only named people may."""

    people = forms.MultipleChoiceField(
        required=False, label="People who may judge", widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Any = None, *, choices: Sequence[tuple[str, str]], chosen: Sequence[str] = ()) -> None:
        super().__init__(data)
        self.fields["people"].choices = choices  # type: ignore[attr-defined]
        self.fields["people"].initial = list(chosen)


def free_name(*, team: Team, wanted: str) -> str:
    """A name for a new queue that the team does not have yet."""
    wanted = wanted[:180]
    taken = set(AnnotationQueue.objects.filter(team=team, name__startswith=wanted).values_list("name", flat=True))
    return next(name for name in (wanted, *(f"{wanted} {n}" for n in range(2, len(taken) + 3))) if name not in taken)


class AnswerForm(forms.Form):
    """What a reviewer says of one step. `answer_of()` once it is valid."""

    verdict = forms.ChoiceField(choices=list(VERDICTS.items()), widget=forms.RadioSelect, required=False)
    errors_named = forms.MultipleChoiceField(
        choices=[(kind.value, kind.label) for kind in KINDS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        label="What is wrong",
    )
    severity = forms.ChoiceField(
        choices=[("", "not said"), *((each.value, each.label) for each in SEVERITIES)], required=False
    )
    correction = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        label="What it should have said",
    )
    comment = forms.CharField(required=False, max_length=TEXT_LENGTH, widget=forms.Textarea(attrs={"rows": 2}))

    def answer_of(self, position: int) -> StepAnswer:
        """What was said. A good step has no errors. Raises nothing once the form is valid and has a verdict."""
        said = self.cleaned_data
        is_good = said["verdict"] == Verdict.GOOD.value
        return StepAnswer(
            position=position,
            verdict=Verdict(said["verdict"]),
            errors=() if is_good else tuple(ErrorKind(each) for each in said["errors_named"]),
            severity=None if is_good or not said["severity"] else Severity(said["severity"]),
            correction=said["correction"].strip(),
            comment=said["comment"].strip(),
        )


def answers_of(answer_forms: Sequence[AnswerForm]) -> list[StepAnswer]:
    """The answers of an item's steps in order, up to the first bad one: those behind it are not judged.

    Empty where a form is wrong or a step before the end has no verdict.
    """
    answers: list[StepAnswer] = []
    for position, each in enumerate(answer_forms):
        if not each.is_valid() or not each.cleaned_data["verdict"]:
            return []
        answers.append(each.answer_of(position))
        if answers[-1].verdict is Verdict.BAD:
            break
    return answers
