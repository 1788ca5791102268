"""Forms made from a specification's own fields (idea 1: one schema): bounds, choices and help texts are the schema's.

    form = SpecForm(SearchSpec, request.POST or None, start=PRESETS_AS_SPECS["quick"], options={"questions": [...]})
    if form.is_valid():
        job_submit(actor=…, team=…, spec=form.spec)

and in the page `{% include "components/spec_form.html" %}`. Nested records become sections; what has no simple input
(maps, lists of records) keeps the value it starts with. Errors of the schema stand at the field that they name.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from django import forms
from django.forms.boundfield import BoundField
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from meds3core.config.jobs import LocalPath, Registered, RegisteredKind

Options = Sequence[tuple[str, str]]
"""What a reference may name: `kind:id`, as in `dataset:018f…`, and the label of each thing."""


def option(kind: RegisteredKind, thing: Any, label: Any) -> tuple[str, str]:
    """One of the things that a reference may name."""
    return f"{kind}:{thing}", str(label)


GIVEN = "given"
"""Last part of the name of the box that says whether an optional part is used."""
_SOURCE = re.compile(r"\s*\([^()]*METHOD\.md[^()]*\)")


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
            if dotted in self._left_out or _is_fixed(info):
                continue
            value = start.get(name, _default(info)) if isinstance(start, Mapping) else _default(info)
            nested, optional = _record_of(info.annotation)
            if nested is not None:
                self._add_nested(nested, dotted, section or name, value, optional)
            elif variants := _variants_of(info.annotation):
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
        made = _input(info, self._options.get(dotted))
        if made is None:
            return
        kind, built = made
        needed = required and info.is_required()
        built.required = needed and not isinstance(built, forms.BooleanField)
        built.label = self._label(dotted)
        built.help_text = _help(info)
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
        record = _record_of(info.annotation)[0] if info else None
        text = (record.__doc__ or "").strip().split("\n")[0] if record else ""
        return _SOURCE.sub("", text)


# --- the schema's side ---------------------------------------------------------------------------------------------


def _unwrapped(annotation: Any) -> tuple[list[Any], bool]:
    """The alternatives of a type, and whether none is one of them."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for each in get_args(annotation) for part in _unwrapped(each)[0]]
        return [part for part in parts if part is not NoneType], NoneType in get_args(annotation)
    return [annotation], False


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_reference(annotation: Any) -> bool:
    return bool({Registered, LocalPath} & set(_unwrapped(annotation)[0]))


def _record_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    parts, optional = _unwrapped(annotation)
    if len(parts) == 1 and _is_record(parts[0]) and not _is_reference(annotation):
        return parts[0], optional
    return None, optional


def _variants_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """Records told apart by `kind`, of a union of several; references among them are left to the caller."""
    parts = [part for part in _unwrapped(annotation)[0] if _is_record(part) and part not in (Registered, LocalPath)]
    if not parts or any("kind" not in part.model_fields for part in parts):
        return {}
    return {str(part.model_fields["kind"].default): part for part in parts}


def _is_fixed(info: FieldInfo) -> bool:
    """Whether a field can have one value only."""
    return get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1


def _default(info: FieldInfo) -> Any:
    if info.is_required():
        return None
    value = info.get_default(call_default_factory=True)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _bounds(info: FieldInfo) -> tuple[Any, Any, list[str]]:
    """Least and greatest value for the browser, and what it cannot check in words."""
    least = greatest = None
    words = []
    for each in _metadata(info):
        match each:
            case Ge():
                least = each.ge
            case Le():
                greatest = each.le
            case Gt():
                words.append(f"above {each.gt}")
            case Lt():
                words.append(f"below {each.lt}")
    if least is not None and greatest is not None:
        words.append(f"{least:,} to {greatest:,}")
    return least, greatest, words


def _metadata(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    if get_origin(info.annotation) is Annotated:
        yield from get_args(info.annotation)[1:]


def _help(info: FieldInfo) -> str:
    text = _SOURCE.sub("", info.description or "")
    text = (text[:1].upper() + text[1:]).rstrip(".").replace("None:", "Empty:")  # what a person leaves empty
    words = ", ".join(_bounds(info)[2])
    if not text:
        return words.capitalize()
    return f"{text} ({words})." if words else f"{text}."


def _input(info: FieldInfo, options: Options | None) -> tuple[str, forms.Field] | None:
    """What kind of input a plain field has; none: no simple one."""
    parts, optional = _unwrapped(info.annotation)
    if get_origin(parts[0]) is tuple:
        made = _several(get_args(parts[0])[0], options)
        return ("none-list", made[1]) if made and made[0] == "list" and optional else made
    if _is_reference(info.annotation):
        blank = [("", "none")] if optional else []
        return ("reference", forms.ChoiceField(choices=[*blank, *options])) if options is not None else None
    kind = parts[0]
    least, greatest, _ = _bounds(info)
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        blank = [("", "none")] if optional else []
        return ("choice", forms.ChoiceField(choices=[*blank, *_choices(kind)]))
    if kind is bool:
        return ("bool", forms.BooleanField())
    if kind is int:
        return ("number", forms.IntegerField(min_value=least, max_value=greatest))
    if kind is float:
        widget = forms.NumberInput(attrs={"step": "any"})
        return ("number", forms.FloatField(min_value=least, max_value=greatest, widget=widget))
    if kind is str:
        longest = next((each.max_length for each in _metadata(info) if isinstance(each, MaxLen)), 1000)
        return ("none-text" if optional else "text", forms.CharField(max_length=longest))
    return None


def _several(kind: Any, options: Options | None) -> tuple[str, forms.Field] | None:
    if _is_reference(kind):
        return None if options is None else ("references", forms.MultipleChoiceField(choices=options))
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        boxes = forms.CheckboxSelectMultiple
        return ("choices", forms.MultipleChoiceField(choices=_choices(kind), widget=boxes))
    if kind in (str, int, float):
        return ("list", forms.CharField(max_length=2000))
    return None


def _choices(kind: Any) -> list[tuple[str, str]]:
    values = [each.value for each in kind] if isinstance(kind, type) else get_args(kind)
    return [(str(value), str(value)) for value in values]


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
