"""Reads of models, label sets and endpoints."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db.models import Case, Exists, F, FloatField, OuterRef, Prefetch, Q, QuerySet, Subquery, When
from django.http import Http404

from webapp.accounts.models import Team
from webapp.accounts.selectors import theirs
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.jobs.models import Job, JobInput
from webapp.registry.models import Endpoint, LabelSet, ModelAlias, ModelKind, ModelVersion


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


@dataclass(frozen=True)
class ModelFilter:
    """Which models a list shows, and in which order. What is empty does not narrow."""

    kind: str = ""
    name: str = ""
    alias: str = ""
    form: str = ""
    """`whole` or `adapter`."""
    origin: str = ""
    """`own` or `bundled`."""


def models_of(
    *, team: Team, kind: str = "", name: str = "", wanted: ModelFilter | None = None
) -> QuerySet[ModelVersion]:
    """The models that a team sees: its own and those that come with the product."""
    wanted = wanted or ModelFilter(kind=kind, name=name)
    rows = ModelVersion.objects.filter(theirs(team), ready=True)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.name:
        rows = rows.filter(name__icontains=wanted.name)
    if wanted.alias:
        rows = rows.filter(Exists(ModelAlias.objects.filter(model=OuterRef("pk"), alias=wanted.alias)))
    if wanted.form:
        rows = rows.filter(is_adapter=wanted.form == "adapter")
    if wanted.origin:
        rows = rows.filter(team=team) if wanted.origin == "own" else rows.exclude(team=team)
    aliases = Prefetch("aliases", queryset=ModelAlias.objects.order_by("alias"))
    return rows.select_related("team", "base", "job").defer("files", "provenance").prefetch_related(aliases)


def best_first(*, team: Team, rows: QuerySet[ModelVersion], benchmark: UUID) -> QuerySet[ModelVersion]:
    """Models by the most accurate strategy that the team measured on one benchmark; unmeasured ones last.

    Of a policy it is its own answers that count, of a reward model those that were chosen by it. Accuracies on several
    benchmarks would not be comparable, so there is no order over all.
    """
    measured = StrategyResult.objects.filter(
        evaluation__team=team, evaluation__ready=True, evaluation__benchmark=benchmark
    ).exclude(strategy="pass")
    own = measured.filter(evaluation__policy=OuterRef("pk")).order_by("-accuracy").values("accuracy")[:1]
    chosen = measured.filter(evaluation__scorer=OuterRef("pk")).order_by("-accuracy").values("accuracy")[:1]
    best = Case(When(kind=ModelKind.POLICY, then=Subquery(own)), default=Subquery(chosen), output_field=FloatField())
    return rows.annotate(best_accuracy=best).order_by(F("best_accuracy").desc(nulls_last=True), "-pk")


def benchmarks_of(*, team: Team, size: int = 100) -> list[tuple[UUID, str]]:
    """Versions of datasets on which the team measured something, the most used first."""
    counts = Counter(
        Evaluation.objects.filter(team=team, ready=True).exclude(benchmark=None).values_list("benchmark", flat=True)
    )
    rows = DatasetVersion.objects.filter(pk__in=counts).select_related("dataset")
    named = {row.pk: str(row) for row in rows}
    return [(pk, named[pk]) for pk, _ in counts.most_common(size) if pk in named]


def aliases_of(*, team: Team) -> list[str]:
    """The words that the team gave to models."""
    return list(ModelAlias.objects.filter(team=team).order_by("alias").values_list("alias", flat=True).distinct()[:100])


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
    rows = rows.select_related("benchmark__dataset", "policy").prefetch_related(results)
    return list(rows.order_by("-id")[:size])


@dataclass(frozen=True)
class Score:
    """An evaluation of a model in a sentence: greedy, the best strategy, or how well it finds wrong steps."""

    evaluation: Evaluation
    greedy: StrategyResult | None
    best: StrategyResult | None
    """The most accurate of all; of a reward model, of those that its scores decide."""


def scores_of(*, team: Team, models: Sequence[ModelVersion], benchmark: UUID | None = None) -> dict[UUID, Score]:
    """What the team measured last of each of these models, on one benchmark where it is named."""
    found: dict[UUID, Score] = {}
    for role in ("policy", "scorer"):
        wanted = [each.pk for each in models if (each.kind == ModelKind.POLICY) == (role == "policy")]
        if not wanted:
            continue
        rows = Evaluation.objects.filter(team=team, ready=True)
        if benchmark is not None:
            rows = rows.filter(benchmark=benchmark)
        # PostgreSQL knows no largest UUID; an id that sorts by age is compared instead.
        later = rows.filter(**{role: OuterRef(role)}, pk__gt=OuterRef("pk"))
        newest = rows.filter(~Exists(later), **{f"{role}__in": wanted}).select_related("benchmark__dataset")
        for row in newest.prefetch_related("results"):
            found[getattr(row, f"{role}_id")] = _score(row, decided=role == "scorer")
    return found


def _score(row: Evaluation, *, decided: bool) -> Score:
    results = sorted(row.results.all(), key=lambda each: (-each.accuracy, each.n))
    greedy = next((each for each in results if each.strategy == "greedy"), None)
    # Whether any answer is right ("pass") is no way to answer; a reward model's name stands in brackets.
    ways = [each for each in results if each.strategy != "pass" and (not decided or "(" in each.strategy)]
    return Score(row, None if decided else greedy, ways[0] if ways else None)
