"""What stands beside the rows of a stored evaluation, so that nobody need read them all: columns to filter and compare
by, the questions' texts to search in, and where each row begins in its file.

`index.npz` is written when an evaluation is stored, and made anew from the rows where it is missing.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from meds3core.evaluation.comparability import QuestionShape
from meds3core.evaluation.intervals import Floats
from meds3core.evaluation.outcomes import Outcomes, outcomes_from
from meds3core.evaluation.record import ROWS, Evaluation, EvaluationFileError, QuestionRow, read_figures

INDEX = "index.npz"
Booleans = npt.NDArray[np.bool_]

_SHAPES: TypeAdapter[tuple[QuestionShape, ...]] = TypeAdapter(tuple[QuestionShape, ...])


class Index:
    """The columns of a stored evaluation, each read from the disk when it is asked for.

    Columns have a value per question: `greedy` and `sound` as in `Outcomes`; `silent`, whether the greedy answer states
    none; `drawn`, `drawn_right`, `drawn_silent` and `drawn_answers`, how many samples there are, are right, state no
    answer, and how many different answers they give.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns = np.load(folder / INDEX, allow_pickle=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            found = self._columns[name]
        except KeyError:
            raise AttributeError(name) from None
        setattr(self, name, found)
        return found

    def __len__(self) -> int:
        return len(self.begins) - 1

    @cached_property
    def _words(self) -> dict[str, Any]:
        return dict(json.loads(self._columns["words"].tobytes()))

    @property
    def labels(self) -> list[str]:
        """Of the strategies, in the order of `strategies`."""
        return list(self._words["labels"])

    @property
    def domains(self) -> list[str]:
        """Of each question."""
        return list(self._words["domains"])

    @property
    def sources(self) -> list[str]:
        """Of each question."""
        return [each["source"] for each in self._words["questions"]]

    @property
    def answers(self) -> list[str | None]:
        """The greedy answer to each question."""
        return list(self._words["answers"])

    def name(self, place: int) -> str:
        """The id of the question at a place."""
        return str(self._words["questions"][place]["id"])

    def text(self, place: int) -> str:
        """The question at a place, as a policy reads it."""
        start, end = int(self.text_ends[place]), int(self.text_ends[place + 1])
        return bytes(self.texts[start:end]).decode()

    def with_text(self, wanted: str) -> Booleans:
        """(Q,) which questions have this part in their text, whatever its case."""
        part, whole = wanted.strip().casefold(), self.texts.tobytes()
        ends = self.text_ends.tolist()
        return np.array([part in whole[ends[at] : ends[at + 1]].decode().casefold() for at in range(len(self))], bool)

    def row(self, place: int) -> QuestionRow:
        """The whole row at a place: one line of the file. Raises `EvaluationFileError`."""
        start, end = int(self.begins[place]), int(self.begins[place + 1])
        try:
            with (self._folder / ROWS).open("rb") as file:
                file.seek(start)
                return QuestionRow.model_validate_json(file.read(end - start))
        except (OSError, ValidationError):
            raise EvaluationFileError(f"row {place + 1} of the evaluation cannot be read; evaluate again") from None

    def outcomes(self, evaluation: Evaluation) -> Outcomes:
        """The columns that a comparison needs."""
        return Outcomes(
            evaluation=evaluation,
            questions=_SHAPES.validate_python(self._words["questions"]),
            domains=tuple(self._words["domains"]),
            answers=tuple(self._words["answers"]),
            greedy=self.greedy,
            sound=self.sound,
            labels=tuple(self._words["labels"]),
            strategies=self.strategies,
        )


def index_open(folder: Path) -> Index:
    """The index of a stored evaluation, made when it is missing. Raises `EvaluationFileError`."""
    if not (folder / INDEX).is_file():
        index_write(folder)
    return Index(folder)


def index_write(folder: Path) -> None:
    """Write the index of the evaluation in `folder`, row by row. Raises `EvaluationFileError`."""
    evaluation = read_figures(folder)
    begins, light, samples = [0], [], []
    for row, end in _rows(folder / ROWS):
        begins.append(end)
        answers = {sample.answer for sample in row.samples} - {None}
        right = sum(sample.correct is True for sample in row.samples)
        silent = sum(sample.answer is None for sample in row.samples)
        samples.append((len(row.samples), right, silent, len(answers)))
        light.append(row.model_copy(update={"samples": ()}))
    found = outcomes_from(evaluation, light)
    texts = [row.question.text.encode() for row in light]
    words = {
        "labels": found.labels,
        "questions": [shape.model_dump(mode="json") for shape in found.questions],
        "domains": found.domains,
        "answers": found.answers,
    }
    drawn = np.array(samples, dtype=np.int32).reshape(-1, 4)
    columns: dict[str, npt.NDArray[Any]] = {
        "begins": np.array(begins, dtype=np.int64),
        "greedy": found.greedy,
        "sound": found.sound,
        "silent": np.array([row.greedy is not None and row.greedy.answer is None for row in light], dtype=bool),
        "drawn": drawn[:, 0],
        "drawn_right": drawn[:, 1],
        "drawn_silent": drawn[:, 2],
        "drawn_answers": drawn[:, 3],
        "strategies": found.strategies,
        "words": np.frombuffer(json.dumps(words, ensure_ascii=False).encode(), dtype=np.uint8),
        "texts": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "text_ends": np.cumsum([0, *map(len, texts)], dtype=np.int64),
    }
    number, draft = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    try:
        with os.fdopen(number, "wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]
        Path(draft).replace(folder / INDEX)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _rows(path: Path) -> Iterator[tuple[QuestionRow, int]]:
    """Each row, and where it ends in the file."""
    end = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                end += len(line)
                try:
                    yield QuestionRow.model_validate_json(line), end
                except ValidationError:
                    raise EvaluationFileError(f"line {number} of {ROWS} is no question's row; evaluate again") from None
    except OSError:
        raise EvaluationFileError(f"{ROWS} cannot be read; evaluate again") from None


def values_of(index: Index, way: str) -> Floats:
    """(Q,) how often a way to answer is right: `greedy`, or a strategy's label. Raises `KeyError` for what is neither.

    NaN where a question was not asked so.
    """
    if way == "greedy":
        return np.asarray(index.greedy, dtype=float)
    labels = index.labels
    if way not in labels:
        raise KeyError(way)
    return np.asarray(index.strategies[labels.index(way)], dtype=float)
