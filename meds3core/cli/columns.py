"""The `--map` option: which columns of a file mean what."""

from meds3core.data.records import ColumnMapping
from meds3core.errors import UserError

MAP_HELP = (
    "Column of a field, as FIELD=COLUMN, repeated: question, answer, id, context, options (one column, or several "
    "separated by commas), answer_kind, unit, source, domain."
)


def column_mapping(pairs: list[str] | None) -> ColumnMapping | None:
    """The mapping that the options spell out; None without any.

    Raises:
        UserError: an option is no FIELD=COLUMN, names no known field, or question or answer is missing.
    """
    if not pairs:
        return None
    given: dict[str, object] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        field = field.strip()
        if not equals or not column.strip() or field not in ColumnMapping.model_fields:
            known = ", ".join(ColumnMapping.model_fields)
            raise UserError(f"--map: expected FIELD=COLUMN with a field out of {known}")
        given[field] = column.strip()
    options = given.get("options")
    if isinstance(options, str) and "," in options:
        given["options"] = tuple(name.strip() for name in options.split(","))
    if "first_index" in given:
        given["first_index"] = 1 if given["first_index"] == "1" else 0
    missing = [field for field in ("question", "answer") if field not in given]
    if missing:
        raise UserError(f"--map: {' and '.join(missing)} must be named")
    return ColumnMapping.model_validate(given)
