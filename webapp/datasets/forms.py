"""Forms of datasets. What they give is a specification of `meds3core.config.jobs`, checked by its own rules."""

from collections.abc import Mapping
from typing import Any

from django import forms
from pydantic import ValidationError

from meds3core.config.data_jobs import CurriculumSpec, DatasetCheckSpec
from webapp.datasets.models import DatasetVersion

DECIMALS = "Numbers separated by commas"


class DatasetForm(forms.Form):
    """Name and description."""

    name = forms.CharField(max_length=200)
    description = forms.CharField(max_length=5000, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class DeletionForm(forms.Form):
    """That somebody has read what depends on what they delete."""

    sure = forms.BooleanField(label="I have read this and want to delete it")


class ExportForm(forms.Form):
    """In which form a version leaves."""

    format = forms.ChoiceField(
        label="Form",
        choices=[
            ("spreadsheet", "CSV for spreadsheets: cells that begin with = + - @ get an apostrophe, unless numbers"),
            ("csv", "CSV, exact: for programs"),
            ("jsonl", "JSONL: everything that is known of each question"),
        ],
        initial="spreadsheet",
        widget=forms.RadioSelect,
    )

    @property
    def settings(self) -> dict[str, str]:
        """Format and form, as in `ExportSpec`."""
        chosen = self.cleaned_data["format"]
        if chosen == "spreadsheet":
            return {"format": "csv", "form": "spreadsheet"}
        return {"format": chosen, "form": "exact"}


class CheckForm(forms.Form):
    """With what a version is compared."""

    against = forms.MultipleChoiceField(
        label="Compare with", required=False, widget=forms.CheckboxSelectMultiple, help_text="None: only with itself."
    )
    n = forms.IntegerField(
        label="Words in a row",
        min_value=2,
        max_value=50,
        initial=13,
        help_text="Two questions share something when so many words in a row are the same.",
    )
    threshold = forms.FloatField(
        label="Alike from",
        min_value=0.05,
        max_value=1.0,
        initial=0.5,
        help_text="Share of the shorter question that the longer one has. 1: all of it.",
    )

    def __init__(self, *arguments: Any, others: list[tuple[str, str]], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fields["against"].choices = others  # type: ignore[attr-defined]
        if not others:
            del self.fields["against"]

    def spec(self, version: DatasetVersion) -> DatasetCheckSpec:
        """The job that does it."""
        return DatasetCheckSpec.model_validate(
            {
                "questions": _ref(version.pk),
                "against": [_ref(each) for each in self.cleaned_data.get("against", ())],
                "overlap": {"n": self.cleaned_data["n"], "threshold": self.cleaned_data["threshold"]},
            }
        )


class CurriculumForm(forms.Form):
    """Settings of a choice. Quotas of single groups come as pairs of fields beside it: `group` and `most`."""

    name = forms.CharField(
        label="New dataset",
        max_length=200,
        required=False,
        help_text="Empty: the next version of this dataset.",
    )
    count = forms.IntegerField(
        label="Questions in all", min_value=1, required=False, help_text="Empty: as many as the quotas give."
    )
    group_by = forms.ChoiceField(
        label="Quotas by",
        choices=[("source", "Source"), ("domain", "Domain"), ("source-domain", "Source and domain")],
        initial="source",
    )
    per_source = forms.IntegerField(
        label="At most of each",
        min_value=1,
        required=False,
        help_text="Single groups: in the table.",
    )
    bands = forms.CharField(
        label="Edges of difficulty",
        initial="0, 0.25, 0.5, 0.75, 1",
        help_text="From 0 (always solved) to 1 (never solved).",
    )
    shares = forms.CharField(
        label="Shares of the bands", required=False, help_text="One number for each band, easiest first. Empty: equal."
    )
    drop_solved = forms.BooleanField(label="Leave out what is always solved", required=False, initial=True)
    drop_duplicates = forms.BooleanField(label="Leave out repetitions", required=False, initial=True)
    held_out = forms.MultipleChoiceField(
        label="Leave out what overlaps",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Questions that stand in these, or are much like one there, are not chosen.",
    )
    seed = forms.IntegerField(min_value=0, initial=0, help_text="The same seed and settings choose the same questions.")

    def __init__(self, *arguments: Any, others: list[tuple[str, str]], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fields["held_out"].choices = others  # type: ignore[attr-defined]
        if not others:
            del self.fields["held_out"]

    def clean_bands(self) -> list[float]:
        """The numbers."""
        return _numbers(self.cleaned_data["bands"])

    def clean_shares(self) -> list[float] | None:
        """The numbers, if any."""
        return _numbers(self.cleaned_data["shares"]) or None

    def spec(self, version: DatasetVersion, quotas: Mapping[str, int]) -> CurriculumSpec | None:
        """The job that does it; none, with the reasons beside the fields, when the settings do not fit together."""
        given = self.cleaned_data
        settings = {name: given.get(name) for name in ("count", "group_by", "per_source", "bands", "shares", "seed")}
        try:
            return CurriculumSpec.model_validate(
                {
                    "questions": [_ref(version.pk)],
                    "held_out": [_ref(each) for each in given.get("held_out", ())],
                    "drop_duplicates": given["drop_duplicates"],
                    "name": " ".join(given["name"].split()),
                    "settings": settings | {"drop_solved": given["drop_solved"], "quotas": sorted(quotas.items())},
                }
            )
        except ValidationError as error:
            for problem in error.errors():
                field = str(problem["loc"][-1])
                self.add_error(field if field in self.fields else None, problem["msg"].removeprefix("Value error, "))
            return None


def quotas_of(data: Any) -> dict[str, int]:
    """Pairs of `group` and `most` of a request; an empty `most` sets none."""
    pairs = zip(data.getlist("group"), data.getlist("most"), strict=False)
    return {group: int(most) for group, most in pairs if most.strip().isdecimal() and len(most.strip()) <= 9}


def _ref(key: object) -> dict[str, str]:
    return {"kind": "dataset", "id": str(key)}


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise forms.ValidationError(f"{DECIMALS}, for example 0, 0.5, 1.") from None
