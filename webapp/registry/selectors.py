"""Reads of models, label sets and endpoints."""

from pathlib import Path
from uuid import UUID

from django.db.models import Q

from webapp.accounts.models import Team
from webapp.common.files import Store, folder_of
from webapp.registry.models import Endpoint, LabelSet, ModelVersion


def _theirs(team: Team) -> Q:
    return Q(team=team) | Q(team__is_system=True)


def model_usable(team: Team, model_id: UUID) -> bool:
    """Whether a job of the team may load this model: ready, and its own or the system team's."""
    return ModelVersion.objects.filter(_theirs(team), pk=model_id, ready=True).exists()


def label_set_usable(team: Team, label_set_id: UUID) -> bool:
    """Whether a job of the team may train on these labels."""
    return LabelSet.objects.filter(_theirs(team), pk=label_set_id, ready=True).exists()


def endpoint_usable(team: Team, endpoint_id: UUID) -> bool:
    """Whether a job of the team may ask this remote engine: its own."""
    return Endpoint.objects.filter(pk=endpoint_id, team=team).exists()


def base_by_hash(*, team: Team, digest: str) -> ModelVersion | None:
    """The whole model that a card knows by this digest: the team's newest, or the system team's."""
    rows = ModelVersion.objects.filter(_theirs(team), ready=True, is_adapter=False, facts__hash=digest)
    return rows.order_by("-id").first()


def model_folder(*, model_id: UUID) -> Path:
    """Where the weights and the tokenizer of a model lie; of an adapter, the adapter's own files."""
    return folder_of(Store.MODELS, model_id)
