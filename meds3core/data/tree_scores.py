"""A process reward model's scores of every node of search trees: JSONL, one tree a line."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from meds3core.data.trees import TreeFileError, json_of, lines_of, write_whole
from meds3core.types.record import Record


class TreeScores(Record):
    """Scores of one tree by one reward model."""

    tree: str = Field(description="Content hash of the tree")
    question: str = Field(description="Id of its question")
    prm: str = Field(description="Hash of the reward model")
    scores: tuple[float, ...] = Field(description="In [0, 1], by node id; empty: the tree does not fit the model")


def write_tree_scores(path: Path, rows: Iterable[TreeScores]) -> int:
    """Write a score file and return how many trees it covers; the file appears whole or not at all."""
    return write_whole(path, (row.model_dump_json() for row in rows), "", "\n", "\n")


def read_tree_scores(path: Path) -> Iterator[TreeScores]:
    """The rows of a score file. Raises `TreeFileError`."""
    for number, line, ended in lines_of(path):
        try:
            yield TreeScores.model_validate(json_of(line, path, number, ended))
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"])) or "row"
            raise TreeFileError(f"{path}, line {number}: field {field!r} does not fit a score row") from error
