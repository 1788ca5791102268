"""Forms made from a specification's own fields (idea 1: one schema): bounds, choices and help texts are the schema's.

    form = SpecForm(SearchSpec, request.POST or None, start=PRESETS_AS_SPECS["quick"], options={"questions": [...]})
    if form.is_valid():
        job_submit(actor=…, team=…, spec=form.spec)

and in the page `{% include "components/spec_form.html" %}`. Nested records become sections; what has no simple input
(maps, lists of records) keeps the value it starts with. Errors of the schema stand at the field that they name.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from meds3core.config.references import RegisteredKind
from webapp.common.spec_inputs import (
    Options,
    default_of,
    help_of,
    input_of,
    is_fixed,
    record_of,
    variants_of,
    without_source,
)


def option(kind: RegisteredKind, thing: Any, label: Any) -> tuple[str, str]:
    """One of the things that a reference may name."""
    return f"{kind}:{thing}", str(label)


GIVEN = "given"
"""Last part of the name of the box that says whether an optional part is used."""


@dataclass(slots=True)
class Section:
    """A part of the form that has a heading."""

    title: str
    text: str
    basic: list[BoundField] = field(default_factory=list)
    more: list[BoundField] = field(default_factory=list)
    """Shown when asked for."""

    @property
    def has_errors(self) -> bool:
        """Whether something under "more" must be mended: then it is shown."""
        return any(each.errors for each in self.more)


class SpecForm(forms.Form):
    """A form for a record type. `spec` is the checked record once `is_valid()`.

    `start` gives the first values, `options` what each reference field may name (by dotted name), `basic` the fields
    that are shown at once, `left_out` those that are not shown and keep what `start` says, `titles` headings and
    sentences of sections by field name, `labels` other labels of fields, `always` optional parts that are used here.
    """

    def __init__(
        self,
        spec_type: type[BaseModel],
        data: Any = None,
        *,
        start: Mapping[str, Any] | None = None,
        options: Mapping[str, Options] | None = None,
        basic: Collection[str] = (),
        left_out: Collection[str] = (),
        titles: Mapping[str, tuple[str, str]] | None = None,
        labels: Mapping[str, str] | None = None,
        always: Collection[str] = (),
    ) -> None:
        super().__init__(data)
        self.spec: Any = None
        self._type = spec_type
        self._start = dict(start or {})
        self._options = options or {}
        self._basic, self._left_out = basic, left_out
        self._titles, self._labels, self._always = titles or {}, labels or {}, always
        self._kinds: dict[str, str] = {}
        self._sections: dict[str, list[str]] = {"": []}
        self._add(spec_type, "", "", self._start, required=True)

    # --- making fields ---------------------------------------------------------------------------------------------

    def _add(
        self, record: type[BaseModel], prefix: str, section: str, start: Mapping[str, Any], required: bool
    ) -> None:
        for name, info in record.model_fields.items():
            dotted = f"{prefix}{name}"
            if dotted in self._left_out or is_fixed(info):
                continue
            value = start.get(name, default_of(info)) if isinstance(start, Mapping) else default_of(info)
            nested, optional = record_of(info.annotation)
            if nested is not None:
                self._add_nested(nested, dotted, section or name, value, optional)
            elif variants := variants_of(info.annotation):
                self._add_variants(variants, dotted, section or name, value)
            else:
                self._add_plain(dotted, section, info, value, required)

    def _add_nested(self, record: type[BaseModel], dotted: str, section: str, value: Any, optional: bool) -> None:
        self._sections.setdefault(section, [])
        if optional and dotted not in self._always:
            box = forms.BooleanField(required=False, initial=value is not None, label=f"{self._label(dotted)}: set it")
            self._put(f"{dotted}.{GIVEN}", section, box, "given")
        self._add(record, f"{dotted}.", section, value or {}, required=not optional)

    def _add_variants(self, variants: Mapping[str, type[BaseModel]], dotted: str, section: str, value: Any) -> None:
        self._sections.setdefault(section, [])
        present = value.get("kind") if isinstance(value, Mapping) else next(iter(variants))
        others = self._options.get(dotted, ())  # registered things that may stand in its place
        choice = forms.ChoiceField(
            choices=[*((kind, kind) for kind in variants), *others],
            initial=present if present in variants else _option(value),
            label=self._label(f"{dotted}.kind", "Kind"),
        )
        self._put(f"{dotted}.kind", section, choice, "kind")
        for kind, record in variants.items():
            self._add(record, f"{dotted}.{kind}.", section, value if kind == present else {}, required=False)

    def _add_plain(self, dotted: str, section: str, info: FieldInfo, value: Any, required: bool) -> None:
        made = input_of(info, self._options.get(dotted))
        if made is None:
            return
        kind, built = made
        needed = required and info.is_required()
        built.required = needed and not isinstance(built, forms.BooleanField)
        built.label = self._label(dotted)
        built.help_text = help_of(info)
        built.initial = _shown(kind, value)
        self._put(dotted, section, built, kind)

    def _put(self, dotted: str, section: str, built: forms.Field, kind: str) -> None:
        self.fields[dotted] = built
        self._kinds[dotted] = kind
        self._sections.setdefault(section, []).append(dotted)

    def _label(self, dotted: str, last: str = "") -> str:
        if dotted in self._labels:
            return self._labels[dotted]
        parts = [part.replace("_", " ") for part in dotted.split(".")[1:] or [dotted]]
        if last:
            parts[-1] = last
        text = ": ".join(parts)
        return text[:1].upper() + text[1:]

    # --- reading it ------------------------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """The values as the record's type checks them; its complaints become errors of fields."""
        values = super().clean() or {}
        if self.errors:
            return values
        try:
            self.spec = self._type.model_validate(self._gathered(values))
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False, include_context=False):
                self._complain(problem["loc"], problem["msg"].removeprefix("Value error, "))
        return values

    def _gathered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = _copied(self._start)
        for dotted, kind in self._kinds.items():
            if kind in ("given", "kind"):
                continue
            _place(result, dotted.split("."), _stored(kind, values.get(dotted)))
        for dotted, kind in reversed(self._kinds.items()):  # parts chosen between or not used, from the innermost out
            parts = dotted.split(".")[:-1]
            if kind == "given" and not values.get(dotted):
                _place(result, parts, None)
            elif kind == "kind":
                chosen = str(values.get(dotted))
                picked = _named(chosen) if ":" in chosen else {"kind": chosen, **_at(result, [*parts, chosen])}
                _place(result, parts, picked)
        return result

    def _complain(self, place: tuple[int | str, ...], message: str) -> None:
        parts = [str(part) for part in place]
        for length in range(len(parts), 0, -1):
            name = ".".join(parts[:length])
            if name in self.fields:
                self.add_error(name, message)
                return
        where = ".".join(parts)
        self.add_error(None, f"{where}: {message}" if where else message)

    def as_json(self) -> str:
        """The specification as the API takes it: the checked one, else what the form begins with."""
        content = self._start if self.spec is None else self.spec.model_dump(mode="json")
        return json.dumps(content, indent=2, ensure_ascii=False)

    @property
    def sections(self) -> list[Section]:
        """The form as pages lay it out."""
        found = []
        for name, fields in self._sections.items():
            if not fields:
                continue
            title, text = self._titles.get(name, (name.replace("_", " ").capitalize(), self._about(name)))
            section = Section(title, text)
            for dotted in fields:
                (section.basic if self._is_basic(dotted) else section.more).append(self[dotted])
            found.append(section)
        return found

    def _is_basic(self, dotted: str) -> bool:
        return not self._basic or dotted in self._basic

    def _about(self, name: str) -> str:
        info = self._type.model_fields.get(name)
        record = record_of(info.annotation)[0] if info else None
        text = (record.__doc__ or "").strip().split("\n")[0] if record else ""
        return without_source(text)


# --- between the two -----------------------------------------------------------------------------------------------


def _shown(kind: str, value: Any) -> Any:
    match kind:
        case "reference":
            return _option(value)
        case "references":
            return [_option(each) for each in value or ()]
        case "list" | "none-list":
            return ", ".join(str(each) for each in value or ())
        case "choices":
            return [each.value if isinstance(each, Enum) else str(each) for each in value or ()]
    return value.value if isinstance(value, Enum) else value


def _stored(kind: str, value: Any) -> Any:
    match kind:
        case "reference":
            return _named(value) if value else None
        case "references":
            return [_named(each) for each in value]
        case "none-list":
            return _stored("list", value) or None
        case "list":
            return [each.strip() for each in value.split(",") if each.strip()]
        case "choice" | "none-text":
            return value or None
    return value


def _option(value: Any) -> Any:
    return f"{value['kind']}:{value['id']}" if isinstance(value, Mapping) else value


def _named(value: str) -> dict[str, str]:
    kind, _, thing = value.partition(":")
    return {"kind": kind, "id": thing}


def _copied(value: Any) -> Any:
    return {name: _copied(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def _place(target: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    for part in parts[:-1]:
        if not isinstance(target.get(part), dict):
            target[part] = {}
        target = target[part]
    target[parts[-1]] = value


def _at(target: Any, parts: Sequence[str]) -> dict[str, Any]:
    for part in parts:
        target = target.get(part) if isinstance(target, dict) else None
    return target if isinstance(target, dict) else {}
