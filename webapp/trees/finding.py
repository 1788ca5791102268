"""Which nodes of a tree are of interest: filters and text search as sets of nodes. Pure but for its form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms

from meds3core.types.tree import Node, Tree
from webapp.trees.grid import score_at
from webapp.trees.models import TreeScore
from webapp.trees.reading import NodeFigures, node_figures


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for; what is not given does not narrow."""

    drop: float | None = None
    """Steps that lose at least so much value against the step before."""
    apart: float | None = None
    """Steps whose value some reward model misses by at least so much."""
    wrong: bool = False
    flagged: bool = False
    text: str = ""

    @property
    def anything(self) -> bool:
        """Whether it narrows at all."""
        return self != Sought()


def nodes_found(
    *, tree: Tree, scores: Sequence[TreeScore], flags: Mapping[int, int], sought: Sought
) -> list[tuple[Node, NodeFigures]]:
    """The nodes that are everything that is sought, in the order of their growth."""
    text = sought.text.casefold()

    def fits(node: Node, figures: NodeFigures) -> bool:
        if sought.drop is not None and (figures.drop is None or figures.drop < sought.drop):
            return False
        if sought.apart is not None and not _missed(node, scores, sought.apart):
            return False
        if sought.wrong and node.verdict is not False:
            return False
        if sought.flagged and not flags.get(node.id):
            return False
        return not text or text in node.text.casefold() or text in (node.answer or "").casefold()

    return [pair for pair in zip(tree.nodes, node_figures(tree), strict=True) if fits(*pair)]


def _missed(node: Node, scores: Sequence[TreeScore], apart: float) -> bool:
    given = (score_at(each, node.id) for each in scores)
    return node.value is not None and any(one is not None and abs(one - node.value) >= apart for one in given)


class FindForm(forms.Form):
    """What to look for in a tree. Sent by POST, so that no address holds the words."""

    text = forms.CharField(label="Text", max_length=500, required=False, strip=True)
    drop = forms.FloatField(label="Lost at least", min_value=0.0, max_value=1.0, required=False)
    apart = forms.FloatField(label="PRM and value apart by", min_value=0.0, max_value=1.0, required=False)
    wrong = forms.BooleanField(label="Wrong answers", required=False)
    flagged = forms.BooleanField(label="Flagged", required=False)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="find-%s")
        for name in ("drop", "apart"):
            self.fields[name].widget.attrs |= {"step": "0.05", "min": "0", "max": "1"}

    def sought(self) -> Sought:
        """What a valid form asks for; zero counts as not given."""
        given = self.cleaned_data
        return Sought(
            drop=given["drop"] or None,
            apart=given["apart"] or None,
            wrong=given["wrong"],
            flagged=given["flagged"],
            text=given["text"],
        )
