"""Questions of a Hugging Face data set by its name, where the operator allows the network. Imported when first used."""

from collections.abc import Iterator

from meds3core.data.records import ColumnMapping, question_from
from meds3core.data.rows import FieldError, RowError
from meds3core.data.seen import SeenRows
from meds3core.errors import ConfigError, MissingExtra, QuestionFileError
from meds3core.types.question import Question


def iterate_hub(
    name: str,
    *,
    split: str,
    subset: str | None = None,
    mapping: ColumnMapping | None = None,
    allowed: bool = False,
) -> Iterator[Question | RowError]:
    """Every row of a data set, streamed, as a question or as what is wrong with it.

    Raises:
        ConfigError: the network is not allowed.
        MissingExtra: the package `datasets` is not installed.
        QuestionFileError: the data set cannot be opened.
    """
    if not allowed:
        raise ConfigError(f"data set {name}: reading from the network is off; allow it in the settings or give a file")
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(
            "reading data sets by name needs the package `datasets`, which this installation lacks: install it again"
        ) from error
    try:
        rows = datasets.load_dataset(name, subset, split=split, streaming=True)
    except Exception as error:
        raise QuestionFileError(f"data set {name}: cannot be opened ({type(error).__name__})") from error
    stem, seen = name.rpartition("/")[2], SeenRows()
    for row, record in enumerate(rows, start=1):
        try:
            question = question_from(dict(record), row, stem, mapping)
        except FieldError as error:
            yield RowError(row=row, field=error.field, message=error.message)
            continue
        before = seen.first_row(question.id, row)
        if before is None:
            yield question
        else:
            yield RowError(row=row, field="id", message=f"the id of row {before} again")
