"""What a field of a record looks like in a form: whether it is a record or one of several, and which input it has."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from django import forms
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from meds3core.config.references import LocalPath, Registered

Options = Sequence[tuple[str, str]]
"""What a reference may name: `kind:id`, as in `dataset:018f…`, and the label of each thing."""


_SOURCE = re.compile(r"\s*\([^()]*METHOD\.md[^()]*\)")


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


def record_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The record that a field is, if it is one and no reference, and whether it may be left out."""
    parts, optional = _unwrapped(annotation)
    if len(parts) == 1 and _is_record(parts[0]) and not _is_reference(annotation):
        return parts[0], optional
    return None, optional


def variants_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """Records told apart by `kind`, of a union of several; references among them are left to the caller."""
    parts = [part for part in _unwrapped(annotation)[0] if _is_record(part) and part not in (Registered, LocalPath)]
    if not parts or any("kind" not in part.model_fields for part in parts):
        return {}
    return {str(part.model_fields["kind"].default): part for part in parts}


def is_fixed(info: FieldInfo) -> bool:
    """Whether a field can have one value only."""
    return get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1


def default_of(info: FieldInfo) -> Any:
    """The value that a field has by itself, as JSON; None where it must be given."""
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


def without_source(text: str) -> str:
    """A sentence without its reference to METHOD.md."""
    return _SOURCE.sub("", text)


def help_of(info: FieldInfo) -> str:
    """What stands below the input: the schema's description, and the bounds that the browser does not check."""
    text = without_source(info.description or "")
    text = (text[:1].upper() + text[1:]).rstrip(".").replace("None:", "Empty:")  # what a person leaves empty
    words = ", ".join(_bounds(info)[2])
    if not text:
        return words.capitalize()
    return f"{text} ({words})." if words else f"{text}."


def input_of(info: FieldInfo, options: Options | None) -> tuple[str, forms.Field] | None:
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
