"""What is wrong with something that was sent: where and why, never the value, which may be somebody's content."""

from collections.abc import Iterable, Mapping
from typing import Any

QUOTING = {"union_tag_invalid", "uuid_parsing", "date_from_datetime_parsing", "datetime_parsing", "enum", "url_parsing"}
"""Kinds of pydantic's errors whose words repeat a part of what was sent."""


def what_is_wrong(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words of its own, or of ours where its own would quote."""
    kind, context = str(error.get("type", "")), error.get("ctx") or {}
    if kind == "union_tag_invalid":
        which, known = context.get("discriminator", "kind"), context.get("expected_tags", "the known kinds")
        return f"Its {which} must be one of {known}"
    if kind in QUOTING:
        return f"Does not fit ({kind})"
    return str(error.get("msg", "Does not fit"))


def where_and_what(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each error's place, as `outer.inner`, and what is wrong there."""
    return [(".".join(map(str, each.get("loc", ()))), what_is_wrong(each)) for each in errors]
