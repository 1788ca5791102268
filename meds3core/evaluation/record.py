"""What an evaluation found: one record of figures, and a row per question from which comparisons are made later.

The folder: `evaluation.json` (the figures) and `questions.jsonl` (a `QuestionRow` a line, in question order).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from meds3core.config.evaluation import EvaluationConfig
from meds3core.data.write import atomic_text
from meds3core.decoding.samples import SourceShape
from meds3core.errors import UserError
from meds3core.evaluation.accuracy import AccuracyFigures
from meds3core.evaluation.comparability import Basis, basis_of
from meds3core.evaluation.faithfulness import FaithfulnessFigures
from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.robustness import TransformFigures
from meds3core.evaluation.selection import Selection, StrategyFigures
from meds3core.evaluation.steps import FlagThresholds, PolicySteps, StepFigures
from meds3core.types.question import Question
from meds3core.types.record import Record
from meds3core.types.samples import SampleSource, ScoreSource

EVALUATION_FORMAT = "meds3-evaluation/1"
FIGURES, ROWS = "evaluation.json", "questions.jsonl"


class EvaluationFileError(UserError):
    """A stored evaluation cannot be read. The message names file and line, never a text."""

    code = "evaluation-file"


class Response(Record):
    """One answer of the policy, as a person reads it."""

    bodies: tuple[str, ...]
    answer: str | None
    correct: bool | None
    tokens: int = Field(ge=0, description="Generated")
    cut: bool = Field(default=False, description="By the token limit")
    steps_right: tuple[bool | None, ...] = Field(
        default=(), description="Given the steps before; step 0 first. Empty: no judge knows this question"
    )
    sound: bool | None = Field(default=None, description="Every step and the answer right; None: not known")
    scores: dict[str, tuple[float, ...]] = Field(default_factory=dict, description="By reward model")


class QuestionRow(Record):
    """One question with all that was answered. `strategies`: expected correctness by strategy label."""

    question: Question
    greedy: Response | None = None
    samples: tuple[Response, ...] = ()
    strategies: dict[str, float] = Field(default_factory=dict)


class JudgedSteps(Record):
    """A process reward model on the steps of one label set, whoever wrote them."""

    name: str = Field(description="Of the label set")
    content_hash: str = Field(description="Of its records")
    trajectories: int
    too_long: int = Field(description="Trajectories that did not fit the reward model")
    learnt: int = Field(
        default=0, description="Trajectories left out: the model learnt what people said of their questions' steps"
    )
    met: int = Field(default=0, description="Judged steps among the others of which it learnt the rollouts' label")
    forgotten: int = Field(
        default=0, description="Label sets that made the model and were deleted since: what was in them is not known"
    )
    steps: tuple[StepFigures, ...] = Field(
        description="Given the steps before: all, and those in right answers; none where nothing is left to measure on"
    )

    @property
    def warnings(self) -> list[str]:
        """What a reader must know of these figures, a sentence each."""
        said = []
        if self.learnt:
            said.append(
                f"{self.learnt:,} judged trajectories are left out: the reward model was trained on what people said "
                "of their questions."
            )
        if not self.steps:
            said.append("Nothing is left to measure the reward model on.")
        if self.met:
            said.append(
                f"Of {self.met:,} of the judged steps the reward model learnt what rollouts say: it may know them "
                "better than others."
            )
        if self.forgotten:
            sets = "A label set" if self.forgotten == 1 else f"{self.forgotten:,} label sets"
            said.append(f"{sets} that made the reward model was deleted: whether these steps were in it is not known.")
        return said


class ScorerFigures(Record):
    """One reward model. The step figures need a judge; an ORM has none."""

    source: ScoreSource
    answer_auroc: dict[str, Estimate] = Field(
        default_factory=dict,
        description="By aggregator: the probability that a right answer outscores a wrong one, over all samples",
    )
    thresholds: FlagThresholds | None = None
    steps: tuple[StepFigures, ...] = Field(default=(), description="Both truths, all answers and right answers only")
    too_long: int = Field(default=0, description="Samples that did not fit the reward model")
    judged: tuple[JudgedSteps, ...] = Field(default=(), description="Against label sets of people")


class Evaluation(Record):
    """All figures of one policy on one set of questions."""

    format: str = EVALUATION_FORMAT
    policy: str
    policy_hash: str
    prompt: str
    prompt_hash: str
    questions: int
    failed: tuple[str, ...] = Field(default=(), description="Ids of questions without answers: in no figure")
    shapes: dict[str, SourceShape] = Field(default_factory=dict, description="By source")
    greedy_source: SampleSource | None = None
    sample_source: SampleSource | None = None
    judge: str = Field(default="", description="Where the truth about steps comes from; empty: none")
    config: EvaluationConfig
    greedy: AccuracyFigures | None = None
    sampled: AccuracyFigures | None = None
    greedy_steps: PolicySteps | None = None
    sampled_steps: PolicySteps | None = None
    scorers: dict[str, ScorerFigures] = Field(default_factory=dict)
    selection: Selection | None = None
    grid: tuple[StrategyFigures, ...] = Field(default=(), description="Every combination: exploratory")
    robustness: tuple[TransformFigures, ...] = ()
    faithfulness: FaithfulnessFigures | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredEvaluation:
    """The figures and their rows."""

    evaluation: Evaluation
    rows: tuple[QuestionRow, ...]

    def basis(self, rows: Sequence[QuestionRow] | None = None) -> Basis:
        """What the figures over these rows (default: all) stand on."""
        source = self.evaluation.greedy_source or self.evaluation.sample_source
        assert source is not None
        return basis_of(source, [row.question for row in (self.rows if rows is None else rows)])

    def write(self, folder: Path) -> None:
        """Write both files; the figures last, so that a folder with figures is whole."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
        with atomic_text(folder / ROWS) as file:
            for row in self.rows:
                file.write(row.model_dump_json(exclude_defaults=False) + "\n")
        with atomic_text(folder / FIGURES) as file:
            file.write(json.dumps(self.evaluation.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_evaluation(folder: Path) -> StoredEvaluation:
    """A stored evaluation. Raises `EvaluationFileError`."""
    return StoredEvaluation(read_figures(folder), tuple(_rows(folder / ROWS)))


def read_figures(folder: Path) -> Evaluation:
    """The figures of a stored evaluation without its rows. Raises `EvaluationFileError`."""
    path = folder / FIGURES
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise EvaluationFileError(
            f"{folder}: no {FIGURES} that can be read here; `meds3 evaluate --out` writes one"
        ) from None
    try:
        version = json.loads(text).get("format")
    except (ValueError, AttributeError):
        raise EvaluationFileError(f"{path}: not the JSON of an evaluation") from None
    if version != EVALUATION_FORMAT:
        raise EvaluationFileError(f"{path}: format is not {EVALUATION_FORMAT}; evaluate again with this version")
    try:
        return Evaluation.model_validate_json(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise EvaluationFileError(f"{path}: field {place} does not fit the format; evaluate again") from None


def _rows(path: Path) -> Iterator[QuestionRow]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield QuestionRow.model_validate_json(line)
                except ValidationError:
                    raise EvaluationFileError(f"{path}, line {number}: not a question's row; evaluate again") from None
    except (OSError, UnicodeDecodeError):
        raise EvaluationFileError(f"{path}: cannot be read; evaluate again") from None
