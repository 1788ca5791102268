"""Reads of models, label sets and endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import Http404

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.files import Store, folder_of
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.jobs.models import Job, JobInput
from webapp.registry.models import Endpoint, LabelSet, ModelAlias, ModelVersion


def model_usable(team: Team, model_id: UUID) -> bool:
    """Whether a job of the team may load this model: ready, and its own or the system team's."""
    return ModelVersion.objects.filter(theirs(team), pk=model_id, ready=True).exists()


def label_set_usable(team: Team, label_set_id: UUID) -> bool:
    """Whether a job of the team may train on these labels."""
    return LabelSet.objects.filter(theirs(team), pk=label_set_id, ready=True).exists()


def endpoint_usable(team: Team, endpoint_id: UUID) -> bool:
    """Whether a job of the team may ask this remote engine: its own."""
    return Endpoint.objects.filter(pk=endpoint_id, team=team).exists()


def base_by_hash(*, team: Team, digest: str) -> ModelVersion | None:
    """The whole model that a card knows by this digest: the team's newest, or the system team's."""
    rows = ModelVersion.objects.filter(theirs(team), ready=True, is_adapter=False, facts__hash=digest)
    return rows.order_by("-id").first()


def model_folder(*, model_id: UUID) -> Path:
    """Where the weights and the tokenizer of a model lie; of an adapter, the adapter's own files."""
    return folder_of(Store.MODELS, model_id)


# --- pages and the API ---------------------------------------------------------------------------------------------


def models_of(*, team: Team, kind: str = "", name: str = "") -> QuerySet[ModelVersion]:
    """The models that a team sees: its own and those that come with the product."""
    rows = ModelVersion.objects.filter(theirs(team), ready=True)
    if kind:
        rows = rows.filter(kind=kind)
    if name:
        rows = rows.filter(name__icontains=name)
    aliases = Prefetch("aliases", queryset=ModelAlias.objects.order_by("alias"))
    return rows.select_related("team", "base", "job").defer("files", "provenance").prefetch_related(aliases)


def model_of(*, team: Team, model_id: UUID) -> ModelVersion:
    """One of them, whole. Raises `Http404`."""
    found = ModelVersion.objects.filter(theirs(team), pk=model_id, ready=True)
    model = found.select_related("team", "base", "job", "created_by").first()
    if model is None:
        raise Http404("There is no such model; it may have been deleted.")
    return model


def model_own(*, team: Team, model_id: UUID) -> ModelVersion:
    """One that the team may change: its own. Raises `Http404`."""
    model = model_of(team=team, model_id=model_id)
    if model.team_id != team.pk:
        raise Http404("This model comes with the product; nobody changes it.")
    return model


def model_file(*, model: ModelVersion, name: str) -> Path:
    """Where one of a model's files lies. Raises `Http404` for a name that it does not have."""
    if not any(each["name"] == name for each in model.files):
        raise Http404("The model has no such file.")
    return model_folder(model_id=model.pk) / name


def bases_of(*, team: Team, size: int = 200) -> list[ModelVersion]:
    """Whole models that an adapter may belong to, newest first."""
    return list(models_of(team=team).filter(is_adapter=False).order_by("-id")[:size])


def other_versions(*, team: Team, model: ModelVersion, size: int = 20) -> list[ModelVersion]:
    """Models of the same name, newest first."""
    rows = ModelVersion.objects.filter(team=model.team_id, name=model.name, ready=True).exclude(pk=model.pk)
    return list(rows.prefetch_related("aliases").order_by("-number")[:size])


def made_from(*, team: Team, model: ModelVersion, size: int = 50) -> list[ModelVersion]:
    """Models of the team that began from this one, newest first."""
    return list(ModelVersion.objects.filter(team=team, base=model, ready=True).order_by("-id")[:size])


def jobs_with(*, team: Team, model: ModelVersion, size: int = 20) -> list[Job]:
    """The team's newest jobs that use this model."""
    using = JobInput.objects.filter(kind="model", thing=model.pk).values("job")
    return list(Job.objects.filter(team=team, pk__in=using, parent=None).defer("spec", "result").order_by("-id")[:size])


def model_evaluations(*, team: Team, model: ModelVersion, size: int = 20) -> list[Evaluation]:
    """The team's evaluations that measured this model, with their strategies best first."""
    rows = Evaluation.objects.filter(Q(policy=model) | Q(scorer=model), team=team, ready=True)
    results = Prefetch("results", queryset=StrategyResult.objects.order_by("-accuracy"))
    return list(rows.select_related("benchmark__dataset").prefetch_related(results).order_by("-id")[:size])


@dataclass(frozen=True)
class Score:
    """The newest evaluation of a model in a sentence: greedy, and the best strategy."""

    evaluation: Evaluation
    greedy: float | None
    best: float | None
    best_strategy: str


def scores_of(*, team: Team, models: Sequence[ModelVersion]) -> dict[UUID, Score]:
    """What the team measured last of each of these policies."""
    wanted = [model.pk for model in models]
    # PostgreSQL knows no largest UUID; an id that sorts by age is compared instead.
    later = Evaluation.objects.filter(team=team, ready=True, policy=OuterRef("policy"), pk__gt=OuterRef("pk"))
    rows = Evaluation.objects.filter(~Exists(later), team=team, ready=True, policy__in=wanted)
    return {row.policy_id: _score(row) for row in rows.prefetch_related("results")}


def _score(row: Evaluation) -> Score:
    results = sorted(row.results.all(), key=lambda each: (-each.accuracy, each.n))
    greedy = next((each.accuracy for each in results if each.strategy == "greedy"), None)
    best = results[0] if results else None
    named = f"{best.strategy}, n = {best.n}" if best and best.n > 1 else best.strategy if best else ""
    return Score(row, greedy, best.accuracy if best else None, named)
