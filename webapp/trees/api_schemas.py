"""What the API says of searches, trees, nodes and label sets, and what it takes."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from meds3core.config.decoding import ScorerConfig
from meds3core.config.jobs import LabelsSpec, SearchSpec
from meds3core.types.tree import Move, StopReason
from webapp.jobs.api_schemas import JobWhole
from webapp.jobs.models import Job
from webapp.registry.models import LabelSet
from webapp.trees import selectors
from webapp.trees.models import NodeRow, Tree, TreeScore


class SearchIn(Schema):
    """A search to be done."""

    spec: SearchSpec
    title: str = Field(default="", max_length=200)
    priority: int = Field(default=0, ge=-10, le=10)


class FiguresOut(Schema):
    """A search in numbers, of the trees that are stored."""

    trees: int
    nodes: int
    rollouts: int
    generated_tokens: int
    solved: int = Field(description="Trees that hold a right answer.")
    mean_depth: float
    stop_reasons: dict[str, int]
    solved_bins: list[int] = Field(description="Trees by tenth of their solved fraction; the last one includes 1.")


class SearchWhole(JobWhole):
    """A search: its job, its questions by state, its figures."""

    questions: dict[str, int] = Field(description="How many wait, grow, are done, failed.")
    figures: FiguresOut

    @staticmethod
    def of(job: Job) -> "SearchWhole":
        """From the rows."""
        found = selectors.search_figures(job_id=job.pk)
        names = FiguresOut.model_fields
        return SearchWhole(
            **JobWhole.of(job).model_dump(),
            questions=selectors.question_counts(job_id=job.pk),
            figures=FiguresOut(**{name: getattr(found, name) for name in names if name != "solved_bins"},
                               solved_bins=list(found.solved_bins)),
        )  # fmt: skip


class TreeWanted(Schema):
    """Which trees; what is left out does not narrow."""

    source: str = ""
    domain: str = ""
    stage: str | None = Field(default=None, description="Of an evolution.")
    stop_reason: StopReason | None = None
    least_solved: float | None = Field(default=None, ge=0, le=1)
    most_solved: float | None = Field(default=None, ge=0, le=1)
    least_drop: float | None = Field(default=None, ge=0, le=1, description="Trees with a drop of value of at least.")


class TreeOut(Schema):
    """A tree without its nodes."""

    id: UUID
    search: UUID = Field(description="The job that made it.")
    stage: str
    position: int = Field(description="Of its question, from 0.")
    question_id: str
    question_hash: str
    policy: UUID | None
    source: str
    domain: str
    stop_reason: StopReason
    nodes: int = Field(description="Without the root.")
    depth: int
    rollouts: int
    generated_tokens: int
    root_value: float | None
    solved: float = Field(description="Share of right ones among all rollouts and judged answers.")
    right_answers: int
    wrong_answers: int
    largest_drop: float
    content_hash: str
    created: datetime

    @staticmethod
    def of(tree: Tree) -> "TreeOut":
        """From the row."""
        other = {"id": tree.pk, "search": tree.job_id, "question_id": tree.question_id_text, "policy": tree.policy_id}
        return TreeOut(**other, **{name: getattr(tree, name) for name in TreeOut.model_fields if name not in other})


class ScoresOut(Schema):
    """A reward model's scores of a tree, by node; empty where the tree does not fit the model."""

    model: UUID
    name: str
    scores: list[float | None]

    @staticmethod
    def of(score: TreeScore) -> "ScoresOut":
        """From the row."""
        return ScoresOut(model=score.model_id, name=str(score.model), scores=score.scores)


class NodeWanted(Schema):
    """Which nodes; what is left out does not narrow."""

    move: Move | None = None
    least_drop: float | None = Field(default=None, ge=-1, le=1, description="Value of the step before minus its own.")
    least_value: float | None = Field(default=None, ge=0, le=1)
    most_value: float | None = Field(default=None, ge=0, le=1)
    verdict: bool | None = Field(default=None, description="Of nodes that state an answer.")

    def filter(self, text: str = "") -> selectors.NodeFilter:
        """As the selector takes it."""
        return selectors.NodeFilter(
            move=self.move.value if self.move else None,
            least_drop=self.least_drop,
            least_value=self.least_value,
            most_value=self.most_value,
            verdict=self.verdict,
            text=text,
        )


class NodeSearch(NodeWanted):
    """Nodes whose text holds some words. Asked by POST, so that the words reach no log of addresses."""

    text: str = Field(min_length=3, max_length=500)


class NodeOut(Schema):
    """One step of a tree."""

    id: int
    tree: UUID
    idx: int = Field(description="Of the node in its tree; 0 is the root.")
    parent_idx: int
    depth: int
    move: Move
    value: float | None
    right: int = Field(description="Right ones of its own rollouts.")
    rollouts: int
    visits: int
    drop: float | None
    verdict: bool | None
    text: str

    @staticmethod
    def of(node: NodeRow) -> "NodeOut":
        """From the row."""
        other = {"id": node.pk, "tree": node.tree_id}
        return NodeOut(**other, **{name: getattr(node, name) for name in NodeOut.model_fields if name not in other})


class DrawnScores(Schema):
    """A reward model's scores in the drawing's columns."""

    model: UUID
    name: str
    values: list[float | None]


class DrawingOut(Schema):
    """A tree as columns: the place in each list is the node's index, and indices are the order of growth."""

    format: str
    state: Literal["done"]
    moves: list[Move] = Field(description="What the numbers in `move` stand for.")
    drop_shown: float = Field(description="Drops of value that are drawn as such, from here on.")
    parent: list[int] = Field(description="-1 for the root.")
    move: list[int]
    value: list[float | None]
    visits: list[int]
    right: list[int] = Field(description="Right ones of its own rollouts.")
    rollouts: list[int]
    drop: list[float | None] = Field(description="Value of the step before minus its own, from step 2 on.")
    verdict: list[int | None] = Field(description="Of nodes that state an answer: 1 right, 0 wrong.")
    truncated: list[int] = Field(description="Nodes cut by the token limit.")
    closing: list[int] = Field(description="Nodes made when the tree was closed.")
    copies: list[tuple[int, int]] = Field(description="Nodes that stand for several identical siblings.")
    answers: list[tuple[int, str]] = Field(description="Nodes that state an answer.")
    texts: list[str] | None = Field(description="Beginnings of the steps; none for a very large tree.")
    growth: list[list[float | None] | None] | None = Field(
        description="By node, the values of its path, itself first, once it was backed up; none for a large tree, and "
        "where no backup rule repeats the values."
    )
    flagged: list[int] = Field(description="Nodes that a person flagged.")
    scores: list[DrawnScores]


class ScoringIn(Schema):
    """Scores of a search's trees by a process reward model."""

    model: UUID
    scorer: ScorerConfig = ScorerConfig()


class LabelsIn(Schema):
    """A label set to be built."""

    spec: LabelsSpec
    title: str = Field(default="", max_length=200)


class LabelSetOut(Schema):
    """A label set."""

    id: UUID
    name: str
    kind: Literal["sft", "pairs", "steps"]
    job: UUID | None
    settings: dict[str, Any]
    counts: dict[str, Any] = Field(description="Trees and questions read, examples kept, and dropped by reason.")
    records: int
    content_hash: str
    created: datetime

    @staticmethod
    def of(row: LabelSet) -> "LabelSetOut":
        """From the row."""
        other = {"id": row.pk, "job": row.job_id}
        return LabelSetOut(
            **other, **{name: getattr(row, name) for name in LabelSetOut.model_fields if name not in other}
        )
