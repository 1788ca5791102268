"""What reading gives: questions, or errors that name the row and the field and never repeat content."""

from meds3core.types.record import Record


class RowError(Record):
    """One thing that is wrong with one row."""

    row: int
    """Counted from 1: the line of a JSONL file, the record of any other format (a CSV header is not counted)."""
    field: str
    """Name of the field, or "" for the row as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"row {self.row}, {self.field}" if self.field else f"row {self.row}"
        return f"{place}: {self.message}"


class ReadLimits(Record):
    """What a reader accepts; beyond it a row is an error, so that memory stays bounded."""

    record_bytes: int = 10_000_000
    """Longest single record."""
    document_bytes: int = 200_000_000
    """Longest JSON file that is one object around its records and therefore cannot be streamed."""
    columns: int = 1000
    """Most columns of a table, or fields of a record."""


class FieldError(Exception):
    """Raised inside the readers while one row is taken apart; becomes a `RowError`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
