"""A tree, a path and a list of trees for the terminal. Readable without colour and in forty columns."""

import re
from collections.abc import Iterable

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as Guides

from meds3core.report.summary import states_answer, tree_figures, value_drop
from meds3core.types.question import Question
from meds3core.types.tree import Move, Node, Tree

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SIGNS = {Move.ROOT: "*", Move.REASON: "o", Move.FINISH: "#", Move.REFLECT: "<>"}


def clean(text: str) -> str:
    """A model's text without what a terminal would obey: escape sequences, bells, reversed writing."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def tree_view(tree: Tree) -> Group:
    """The question and its tree, one line a node: sign of the move, value, own rollouts, verdict, text."""
    shown = [Guides(_line(tree, node), guide_style="dim") for node in tree.nodes]
    for node in tree.nodes[1:]:
        shown[node.parent].children.append(shown[node.id])
    figures = tree_figures(tree)
    known = "not judged" if figures.correct is None else f"{figures.correct} correct"
    head = Text(clean(tree.question.id), style="bold")
    facts = Text(
        f"{figures.nodes} nodes, depth {figures.depth}, {tree.totals.rollouts} rollouts, "
        f"{figures.finished} finished trajectories, {known}; stopped: {figures.stop_reason}"
    )
    asked = Text(clean(tree.question.text), style="italic")
    gold = tree.question.gold.value if isinstance(tree.question, Question) else "none"
    key = Text("o reason  # finish  <> reflect   value  k/n own rollouts right  right/WRONG answer", style="dim")
    return Group(head, facts, asked, Text(f"gold answer: {clean(gold)}"), Text(), shown[0], Text(), key)


def _line(tree: Tree, node: Node) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{node.id} ", style="dim").append(f"{_SIGNS[node.move]} ")
    line.append("  -  " if node.value is None else f"{node.value:.2f}", style=_tone(node.value))
    drop = value_drop(tree, node)
    if drop is not None and drop > 0:
        line.append(f" -{drop:.2f}", style="red")
    if node.outcomes:
        line.append(f" {sum(node.outcomes)}/{len(node.outcomes)}")
    line.append_text(_verdict(node))
    if node.truncated:
        line.append(" cut", style="magenta")
    if node.copies > 1:
        line.append(f" x{node.copies}")
    return line.append("  ").append(" ".join(clean(node.text).split()))


def _tone(value: float | None) -> str:
    if value is None:
        return "dim"
    return "bold blue" if value >= 0.75 else "blue" if value >= 0.5 else "yellow" if value >= 0.25 else "bold yellow"


def _verdict(node: Node) -> Text:
    if not states_answer(node):
        return Text()
    words = {True: (" right", "bold green"), False: (" WRONG", "bold red"), None: (" answer", "bold")}
    said, style = words[node.verdict]
    return Text(said + (f" [{clean(node.answer)}]" if node.answer is not None else ""), style=style)


def path_text(tree: Tree, node_id: int) -> Group:
    """The steps from the root to a node, in full."""
    parts: list[Text] = []
    for node in tree.path(node_id):
        head = Text(f"Step {node.depth}", style="bold").append(f"  node {node.id}, {node.move.value}", style="dim")
        if node.value is not None:
            head.append("  ").append(f"value {node.value:.2f}", style=_tone(node.value))
        if node.outcomes:
            head.append(f"  {sum(node.outcomes)}/{len(node.outcomes)} rollouts right")
        head.append(f"  {node.visits} visits").append_text(_verdict(node))
        parts += [head, Text(clean(node.text)), Text()]
    return Group(*parts[:-1])


def tree_table(trees: Iterable[Tree]) -> Table:
    """One row a tree."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("question", overflow="fold")
    table.add_column("correct", justify="right", no_wrap=True)
    table.add_column("nodes", justify="right", no_wrap=True)
    table.add_column("stopped", overflow="fold")
    for number, tree in enumerate(trees, start=1):
        figures = tree_figures(tree)
        known = f"{figures.correct}/{figures.finished}" if figures.correct is not None else f"-/{figures.finished}"
        name = Text(clean(figures.id))
        table.add_row(str(number), name, known, str(figures.nodes), figures.stop_reason)
    return table
