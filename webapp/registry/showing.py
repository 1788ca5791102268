"""How models are shown to people: lines of the list, the card, names of downloads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from meds3core.report.charts import WhiskerRow, WhiskerTable, whisker_table
from webapp.accounts.models import Team
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.registry.models import ModelKind, ModelVersion
from webapp.registry.selectors import Score, scores_of

ALIASES = ("candidate", "production")
"""Offered by a button; others may be given by the API."""


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    model: ModelVersion
    aliases: list[str]
    score: Score | None
    bundled: bool

    @property
    def base_checked(self) -> bool:
        """Of an adapter: whether the digest of its base is the one that it was trained on."""
        stated = self.model.facts.get("adapter_of")
        return bool(stated) and self.model.base is not None and stated == self.model.base.facts.get("hash")


def shown_rows(*, team: Team, models: Sequence[ModelVersion], benchmark: UUID | None = None) -> list[Row]:
    """Models with what the team measured of them, on one benchmark where it is named."""
    scores = scores_of(team=team, models=models, benchmark=benchmark)
    return [
        Row(model, [each.alias for each in model.aliases.all()], scores.get(model.pk), model.team_id != team.pk)
        for model in models
    ]


def facts_of(model: ModelVersion) -> list[tuple[str, str]]:
    """The facts of a model in words, those that there are."""
    facts = model.facts
    lines = [
        ("What it is", model.get_kind_display() + (", an adapter" if model.is_adapter else "")),
        ("Architecture", facts.get("architecture")),
        ("Parameters", _count(facts.get("parameters"))),
        ("Stored as", facts.get("dtype")),
        ("Vocabulary", _count(facts.get("vocabulary"), "tokens")),
        ("Longest input", _count(facts.get("max_positions"), "tokens")),
        ("Prompt", {"plain": "the bare question", "guided": "with instructions"}.get(facts.get("prompt", ""))),
        ("Logits read as", facts.get("score_head")),
        ("Rank of the adapter", _count(facts.get("adapter_rank"))),
        ("Known in trees and evaluations as", facts.get("hash")),
        ("Tried at the import", "; ".join(facts.get("checks", []))),
        *_made(model.provenance),
    ]
    return [(name, str(value)) for name, value in lines if value not in (None, "")]


def _made(provenance: dict[str, Any]) -> list[tuple[str, Any]]:
    source = provenance.get("source") or {}
    came = {
        "upload": "an upload",
        "root": f"the folder {source.get('root')}/{source.get('folder')} of the server",
        "hub": f"the hub: {source.get('name')} at {str(source.get('commit', ''))[:12]}",
    }
    return [("Came from", came.get(str(source.get("kind", ""))))]


def _count(value: Any, unit: str = "") -> str | None:
    if not isinstance(value, int):
        return None
    return f"{value:,} {unit}".strip()


def offered_aliases(model: ModelVersion) -> list[str]:
    """The usual words that this model does not have yet."""
    present = {each.alias for each in model.aliases.all()}
    return [alias for alias in ALIASES if alias not in present]


def archive_name(model: ModelVersion) -> str:
    """A folder name that every system takes."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model.name).strip("-.")[:80] or "model"
    return f"{plain}-v{model.number}"


MOST_WAYS = 8


def score_tables(*, model: ModelVersion, evaluations: Sequence[Evaluation]) -> list[tuple[Evaluation, WhiskerTable]]:
    """Of each evaluation the greedy answers and the most accurate strategies, with their intervals, newest first.

    Of a reward model those strategies that its scores decide.
    """
    found = []
    for each in evaluations:
        decided = model.kind != ModelKind.POLICY
        results = [one for one in each.results.all() if one.strategy != "pass"]
        if decided:
            results = [one for one in results if "(" in one.strategy]
        greedy = [one for one in results if one.strategy == "greedy"]
        ways = [one for one in results if one.strategy != "greedy"]
        rows = [_whisker(one) for one in (*greedy, *ways[:MOST_WAYS])]
        title = str(each.benchmark or "A benchmark that was deleted")
        table = whisker_table(f"{title}, answers of {each.policy}" if decided else title, rows)
        if table is not None:
            found.append((each, table))
    return found


def _whisker(result: StrategyResult) -> WhiskerRow:
    name = f"{result.strategy} @{result.n}" if result.n > 1 else result.strategy
    figure = f"{100 * result.accuracy:.1f}% [{100 * result.low:.1f}, {100 * result.high:.1f}]"
    return WhiskerRow(name, result.accuracy, result.low, result.high, figure, hint=f"{name}: {figure}")
