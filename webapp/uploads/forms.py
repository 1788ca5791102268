"""The form that says what the columns of an uploaded file mean, and where its questions go."""

from collections.abc import Mapping
from typing import Any, get_args

from django import forms

from meds3core.data.preview import FilePreview
from meds3core.data.records import ColumnMapping
from webapp.datasets.models import DatasetVersion

OWN, COLUMNS = "own", "columns"
NEW = "new"
_KINDS = {
    "auto": "As each answer looks",
    "choice": "One of several options",
    "number": "A number, perhaps with a unit",
    "yes-no": "Yes, no or maybe",
    "text": "Free text",
    "list": "A list",
    "pattern": "A regular expression",
}
assert set(_KINDS) == set(get_args(ColumnMapping.model_fields["answer_kind"].annotation))


class MappingForm(forms.Form):
    """What columns mean (`ColumnMapping`), beside the preview that tells which columns there are."""

    into = forms.ChoiceField(label="Goes into")
    name = forms.CharField(label="Name of the new dataset", max_length=200, required=False)
    shape = forms.ChoiceField(
        label="How rows are read",
        choices=[(OWN, "By the names of their own fields, which are known"), (COLUMNS, "By columns that I name")],
        widget=forms.RadioSelect,
    )
    question = forms.ChoiceField(label="Question", required=False)
    answer = forms.ChoiceField(label="Answer", required=False)
    options = forms.MultipleChoiceField(
        label="Options",
        required=False,
        help_text="One column that holds all options of a question, or one column for each option. None: options that "
        "stand in the question's text are found.",
    )
    answer_kind = forms.ChoiceField(label="Answers are", choices=list(_KINDS.items()), required=False)
    first_index = forms.ChoiceField(
        label="Answers that are numbers count options from",
        choices=[("0", "0: 0 is the first option"), ("1", "1: 1 is the first option")],
        required=False,
    )
    unit = forms.CharField(label="Unit of numbers", max_length=40, required=False)
    relative_tolerance = forms.FloatField(
        label="Tolerance of numbers",
        min_value=0,
        max_value=1,
        required=False,
        help_text="0.05 counts an answer as right that is off by five percent.",
    )
    context = forms.ChoiceField(label="Passage before the question", required=False)
    id = forms.ChoiceField(label="Id", required=False)
    source_column = forms.ChoiceField(label="Source", required=False)
    source = forms.CharField(
        label="Source of rows that name none", max_length=200, required=False, help_text="For example: MedQA."
    )
    domain = forms.ChoiceField(label="Domain", required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        preview: FilePreview,
        versions: list[DatasetVersion],
        stem: str,
        into: str = "",
        **more: Any,
    ) -> None:
        guess = preview.guess
        start: dict[str, Any] = {
            "into": into or NEW,
            "name": stem,
            "source": stem,
            "shape": OWN if preview.known_shape else COLUMNS,
            "answer_kind": "auto",
            "first_index": "0",
            "relative_tolerance": 0,
        }
        if guess is not None:
            start |= guess.model_dump(exclude={"source", "unit", "options"}, exclude_none=True)
            start |= {"source_column": guess.source or "", "first_index": str(guess.first_index)}
            start["options"] = [guess.options] if isinstance(guess.options, str) else list(guess.options or ())
        super().__init__(data, initial=start, **more)
        self._preview = preview
        self._versions = {str(version.pk): version for version in versions}
        names = [column.name for column in preview.columns]
        columns = [(name, name) for name in names]
        for field in ("question", "answer", "context", "id", "source_column", "domain"):
            self._choices(field, [("", "—"), *columns])
        self._choices("options", columns)
        following = [(key, f"A new version of {each.dataset}") for key, each in self._versions.items()]
        self._choices("into", [(NEW, "A new dataset"), *following])
        if len(names) <= 40:
            self.fields["options"].widget = forms.CheckboxSelectMultiple(choices=columns)
        if not preview.known_shape:
            self.fields["shape"].required = False
            self.fields["shape"].widget = forms.HiddenInput()

    def _choices(self, field: str, choices: list[tuple[str, str]]) -> None:
        chosen = self.fields[field]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = choices

    def clean(self) -> dict[str, Any]:
        """Question and answer are needed where columns are named, and cannot be the same one."""
        given = super().clean() or {}
        if given.get("into") == NEW and not (given.get("name") or "").strip():
            self.add_error("name", "A new dataset needs a name.")
        if self._by_columns:
            for field in ("question", "answer"):
                if not given.get(field):
                    self.add_error(field, "Choose a column.")
            if given.get("question") and given.get("question") == given.get("answer"):
                self.add_error("answer", "Question and answer are in different columns.")
        return given

    @property
    def _by_columns(self) -> bool:
        return not self._preview.known_shape or self.cleaned_data.get("shape") == COLUMNS

    @property
    def mapping(self) -> ColumnMapping | None:
        """What was chosen; none: rows are read by the names of their own fields."""
        if not self._by_columns:
            return None
        given = self.cleaned_data
        options = given["options"]
        return ColumnMapping(
            question=given["question"],
            answer=given["answer"],
            id=given["id"] or None,
            context=given["context"] or None,
            options=None if not options else options[0] if len(options) == 1 else tuple(options),
            answer_kind=given["answer_kind"] or "auto",
            first_index=1 if given["first_index"] == "1" else 0,
            unit=given["unit"].strip() or None,
            relative_tolerance=given["relative_tolerance"] or 0.0,
            source=given["source_column"] or None,
            domain=given["domain"] or None,
        )

    @property
    def target(self) -> DatasetVersion | None:
        """The version beside which the new one goes; none: a new dataset."""
        return self._versions.get(self.cleaned_data["into"])
