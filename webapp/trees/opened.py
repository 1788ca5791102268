"""A tree's row opened: the record inside, with what people and reward models said of its nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meds3core.types.question import Option
from meds3core.types.tree import Tree as TreeRecord
from webapp.annotation.selectors import flag_counts
from webapp.trees import selectors
from webapp.trees.models import Tree, TreeScore
from webapp.trees.services import arena_read


@dataclass(frozen=True, slots=True)
class OpenedTree:
    """Everything that its pages show."""

    row: Tree
    record: TreeRecord
    scores: list[TreeScore]
    flags: Mapping[int, int]

    @property
    def said(self) -> dict[str, Any]:
        """What readings of the tree are given."""
        return {"tree": self.record, "scores": self.scores, "flags": self.flags}

    @property
    def options(self) -> list[Option]:
        """The options of a choice, unless the question's text spells them out."""
        asked = self.record.question
        found = list(getattr(asked.answer_format, "options", ()))
        return [] if all(option.text in asked.text for option in found) else found

    @property
    def gold(self) -> str:
        """The right answer; empty where the tree was grown without knowing it."""
        gold = getattr(self.record.question, "gold", None)
        return str(gold.value) if gold is not None else ""


def tree_open(*, row: Tree) -> OpenedTree:
    """Two queries: scores and flags."""
    return OpenedTree(row, tree_record(row=row), selectors.scores_of(tree=row), flag_counts(tree=row))


def tree_record(*, row: Tree) -> TreeRecord:
    """The record inside."""
    return TreeRecord.model_validate_json(arena_read(bytes(row.arena)))
