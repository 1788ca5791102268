"""Forms of models. An import's form gives a `ModelImportSpec`, which has the last word on what fits together."""

from typing import Any

from django import forms
from pydantic import ValidationError

from meds3core.config.data_jobs import ModelImportSpec
from webapp.registry.models import ModelKind, ModelVersion
from webapp.registry.sources import Root

SOURCES = {"upload": "Upload", "folder": "Folder of this server", "hub": "Hub"}

HEADS = [
    ("", "As the model's own card says"),
    ("sigmoid", "One label"),
    ("sigmoid1", "Two labels, trained by cross-entropy on the second"),
    ("softmax1", "Two labels, trained by squared error"),
]
PROMPTS = [("", "As the model's own card says"), ("plain", "The bare question"), ("guided", "With instructions")]


class ImportForm(forms.Form):
    """A model from one of the sources: names and choices only, never a path."""

    name = forms.CharField(max_length=200, help_text="Under which it is listed; the same name again is a new version.")
    role = forms.ChoiceField(label="What it is", choices=ModelKind.choices)
    base = forms.ChoiceField(
        label="Base of an adapter", required=False, help_text="Only for LoRA adapters. A whole model needs none."
    )
    prompt = forms.ChoiceField(
        label="Prompt of a policy", required=False, choices=PROMPTS, help_text="Without a card: with instructions."
    )
    score_head = forms.ChoiceField(
        label="Logits of a reward model", required=False, choices=HEADS, help_text="Without a card it must be said."
    )

    def __init__(self, *args: Any, bases: list[ModelVersion], **others: Any) -> None:
        super().__init__(*args, **others)
        base: Any = self.fields["base"]
        base.choices = [("", "None: a whole model"), *((str(each.pk), str(each)) for each in bases)]

    def source(self) -> dict[str, Any]:
        """Where the files are, as a part of the specification."""
        raise NotImplementedError

    def spec(self) -> ModelImportSpec | None:
        """What to import; None, with errors on the form, when the settings do not fit together."""
        given = self.cleaned_data
        content: dict[str, Any] = {"name": given["name"], "role": given["role"], **self.source()}
        if given["base"]:
            content["base"] = {"kind": "model", "id": given["base"]}
        content |= {key: given[key] for key in ("prompt", "score_head") if given[key]}
        try:
            return ModelImportSpec.model_validate(content)
        except ValidationError as error:
            for each in error.errors():
                field = str(each["loc"][0]) if each["loc"] else None
                self.add_error(field if field in self.fields else None, each["msg"].removeprefix("Value error, "))
            return None


class UploadImportForm(ImportForm):
    """The files were sent by the page's script."""

    upload = forms.UUIDField(widget=forms.HiddenInput, error_messages={"required": "Choose the model's files first."})

    def source(self) -> dict[str, Any]:
        """The upload."""
        return {"upload": {"kind": "upload", "id": str(self.cleaned_data["upload"])}}


class FolderImportForm(ImportForm):
    """A folder picked by its name."""

    folder = forms.ChoiceField(label="Folder")

    def __init__(self, *args: Any, roots: list[Root], **others: Any) -> None:
        super().__init__(*args, **others)
        folder: Any = self.fields["folder"]
        folder.choices = [
            (root.name, [(f"{root.name}/{each}", each) for each in root.folders]) for root in roots if root.folders
        ]
        self.order_fields(["folder"])

    def source(self) -> dict[str, Any]:
        """Root and folder, by name."""
        root, _, folder = self.cleaned_data["folder"].partition("/")
        return {"root": {"root": root, "folder": folder}}


class HubImportForm(ImportForm):
    """A model of the hub by its name."""

    hub = forms.CharField(
        label="Name on the hub", max_length=200, help_text="Owner and model, as in Qwen/Qwen2.5-0.5B."
    )
    revision = forms.CharField(max_length=96, initial="main", help_text="Branch, tag or commit.")
    field_order = ("hub", "revision")

    def source(self) -> dict[str, Any]:
        """Name and revision."""
        return {"hub": {"name": self.cleaned_data["hub"], "revision": self.cleaned_data["revision"]}}


class RenameForm(forms.Form):
    """Another name for all versions."""

    name = forms.CharField(max_length=200)


class AliasForm(forms.Form):
    """A word that points to this version."""

    alias = forms.SlugField(max_length=40)
