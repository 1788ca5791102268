"""A finished search tree: an arena of nodes addressed by integer ids, exactly as it is stored.

Node 0 is the root (question + step 0). A child's id is greater than its parent's. Nothing in a tree depends on
the clock, on the row number of its question or on what else was searched at the time.
"""

import hashlib
from enum import StrEnum
from functools import cached_property

from pydantic import Field

from meds3core.types.question import OpenQuestion, Question
from meds3core.types.record import Record

TREE_FORMAT = "meds3-tree/1"


class Move(StrEnum):
    """How a node came to be. A step that states an answer is a Finish (or Reflect) node whatever was asked for."""

    ROOT = "root"
    REASON = "reason"
    FINISH = "finish"
    REFLECT = "reflect"


class StopReason(StrEnum):
    """Why a tree stopped growing."""

    COMPLETE = "complete"
    MAX_NODES = "max-nodes"
    ENOUGH_CORRECT = "enough-correct"
    MAX_DEPTH = "max-depth"


class RolloutSample(Record):
    """One rollout kept for a person to read."""

    text: str
    answer: str | None
    correct: bool | None


class Node(Record):
    """One step in a tree.

    `value` is in [0, 1] after backup, None where nothing was ever simulated (root before its first backup, closing
    steps without rollouts). `outcomes` are the node's own rollouts in request order: 1 right, 0 wrong or no answer.
    """

    id: int = Field(ge=0)
    parent: int = Field(ge=-1, description="-1 for the root")
    depth: int = Field(ge=0)
    move: Move
    text: str = Field(description="Body of the step; its number is its depth")
    written_number: int | None = Field(default=None, description="The number the policy wrote, where it differs")
    copies: int = Field(default=1, ge=1, description="Identical siblings merged into this node, itself included")
    outcomes: tuple[int, ...] = ()
    rollout_value: float | None = Field(default=None, ge=0.0, le=1.0)
    value: float | None = Field(default=None, ge=0.0, le=1.0)
    visits: int = Field(default=0, ge=0)
    answer: str | None = Field(default=None, description="Normal form of the answer this step states")
    verdict: bool | None = Field(default=None, description="Of a node that states an answer: right or wrong")
    complete: bool = False
    truncated: bool = Field(default=False, description="Cut by the token limit")
    closing: bool = Field(default=False, description="Made by the closing Finish move, outside max_nodes")
    samples: tuple[RolloutSample, ...] = ()


class TreeTotals(Record):
    """What a tree cost."""

    requests: int = 0
    rollouts: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0


class Provenance(Record):
    """What made a tree, besides its question: enough to grow it again."""

    policy: str = Field(description="Name of the policy")
    policy_hash: str
    engine: str = Field(description="Kind of engine: engines differ by rounding")
    prompt: str = Field(description="Name and version of the prompt, e.g. plain@1")
    prompt_hash: str
    config_hash: str
    seed: int


class Tree(Record):
    """A finished tree. `question` is an `OpenQuestion` for trees grown at inference."""

    format: str = TREE_FORMAT
    question: Question | OpenQuestion
    provenance: Provenance
    stop_reason: StopReason
    totals: TreeTotals
    nodes: tuple[Node, ...]

    @cached_property
    def content_hash(self) -> str:
        """Hex digest of question, provenance and nodes: what labels and scores refer to."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.question.content_hash} {self.provenance.model_dump_json()}".encode())
        for node in self.nodes:
            digest.update(f"\0{node.parent} {node.move} {node.value} {node.outcomes} {node.text}".encode())
        return digest.hexdigest()

    def children(self) -> list[list[int]]:
        """Child ids of every node, in order of creation."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes[1:]:
            children[node.parent].append(node.id)
        return children

    def path(self, node_id: int) -> list[Node]:
        """The nodes from the root to this one, both included."""
        path = []
        while node_id >= 0:
            node = self.nodes[node_id]
            path.append(node)
            node_id = node.parent
        return path[::-1]
