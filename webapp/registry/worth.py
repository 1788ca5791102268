"""Which label sets made a reward model, and what people's labels changed: as its training wrote it down."""

from dataclasses import dataclass
from typing import Any

from webapp.accounts.models import Team
from webapp.registry.labels import is_judged
from webapp.registry.made_of import made_of
from webapp.registry.models import LabelSet, ModelKind, ModelVersion


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of two models on the same steps."""

    name: str
    before: float | None
    """None: there was no model to compare with."""
    after: float
    low: float
    high: float
    """Of the difference where there are two models, else of the figure."""
    p: float | None = None

    @property
    def change(self) -> float | None:
        """After minus before."""
        return None if self.before is None else self.after - self.before

    @property
    def verdict(self) -> str:
        """What the interval says of the change."""
        if self.before is None:
            return ""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "cannot be told apart"


@dataclass(frozen=True, slots=True)
class Measure:
    """Figures on some of the judged steps that were kept out."""

    figures: list[Figure]
    steps: int
    questions: int


@dataclass(frozen=True, slots=True)
class Source:
    """A label set that made the model."""

    row: LabelSet | None
    """None: it was deleted."""
    name: str
    """As it was then."""
    is_judged: bool
    """Whether people made it."""
    is_shared: bool
    """Whether it made the model that this one is compared with, too."""


@dataclass(frozen=True, slots=True)
class LabelsWorth:
    """What a reward model's page says of the labels that made it."""

    sets: list[Source]
    told: dict[str, Any]
    """What the training wrote of people's labels; empty: there were none."""
    compared: ModelVersion | None
    measured: Measure
    """On all judged steps that were kept out."""
    by_chance: Measure
    """On those of them that chance chose."""

    @property
    def is_paired(self) -> bool:
        """Whether the figures are a comparison."""
        return any(each.before is not None for each in self.measured.figures)

    @property
    def shared_by_people(self) -> int:
        """Label sets by people that made the model that this one is compared with, too: not what the change shows."""
        return sum(each.is_judged and each.is_shared for each in self.sets)


FIGURES = {
    "f1": "Wrong steps found (F1 at one half)",
    "auroc": "Wrong before right ones (AUROC)",
    "auprc": "Wrong ones on top (AUPRC)",
    "first_error_f1": "First error located (F1)",
}


def labels_worth(*, team: Team, model: ModelVersion) -> LabelsWorth | None:
    """Which label sets made a reward model, and what people's changed; None for one that no label set is known of."""
    used = [each for each in model.provenance.get("inputs", ()) if each.get("kind") == "labels"]
    if model.kind != ModelKind.PRM or not used or model.stage:
        return None
    rows = LabelSet.objects.filter(team__in=(team, model.team)).in_bulk([each["id"] for each in used])
    by_id = {str(key): row for key, row in rows.items()}
    told = dict(model.provenance.get("people") or {})
    compared = None
    if told.get("compared_with"):
        compared = ModelVersion.objects.filter(team__in=(team, model.team), pk=told["compared_with"]).first()
    before = made_of(model=compared) if compared is not None else None
    shared = {str(each) for each in before.sets} if before is not None else set[str]()
    sets = []
    for each in used:
        row = by_id.get(str(each["id"]))
        name = str(each.get("name") or "a label set that was deleted")
        sets.append(Source(row, name, row is not None and is_judged(row), str(each["id"]) in shared))
    return LabelsWorth(sets, told, compared, _measure(told), _measure(told.get("by_chance") or {}))


def _measure(told: dict[str, Any]) -> Measure:
    paired, alone = told.get("paired") or {}, told.get("alone") or {}
    figures = []
    for name, words in FIGURES.items():
        if found := paired.get(name):
            change = found["difference"]
            figures.append(Figure(words, found["first"], found["second"], change["low"], change["high"], found["p"]))
        elif not paired and (own := _alone(alone, name)):
            figures.append(Figure(words, None, own["value"], own["low"], own["high"]))
    counts = paired or alone
    return Measure(figures, counts.get("steps", 0), counts.get("questions", 0))


def _alone(figures: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = (figures.get("first_error") or {}).get("f1") if name == "first_error_f1" else figures.get(name)
    return dict(found) if found else None
