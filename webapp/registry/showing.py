"""How models are shown to people: lines of the list, the card, names of downloads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webapp.accounts.models import Team
from webapp.registry.models import ModelVersion
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


def shown_rows(*, team: Team, models: Sequence[ModelVersion]) -> list[Row]:
    """Models with what the team measured of them."""
    scores = scores_of(team=team, models=models)
    return [
        Row(model, [each.alias for each in model.aliases.all()], scores.get(model.pk), model.team_id != team.pk)
        for model in models
    ]


def card_of(model: ModelVersion) -> list[tuple[str, str]]:
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
    card = provenance.get("card") or {}
    source = provenance.get("source") or {}
    versions = card.get("versions") if isinstance(card.get("versions"), dict) else {}
    came = {
        "upload": "an upload",
        "root": f"the folder {source.get('root')}/{source.get('folder')} of the server",
        "hub": f"the hub: {source.get('name')} at {str(source.get('commit', ''))[:12]}",
    }
    return [
        ("Came from", came.get(str(source.get("kind", "")))),
        ("Method", card.get("method") if isinstance(card.get("method"), str) else None),
        ("Seed", card.get("seed") if isinstance(card.get("seed"), int) else None),
        ("Made with", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))[:300]),
    ]


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
