"""What people's labels were worth to a reward model: it and the one before it on judged steps that neither learnt."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meds3core.config.decoding import ScorerConfig
from meds3core.config.jobs import PrmSpec
from meds3core.config.labels import PeopleConfig
from meds3core.evaluation.labelled import score_together
from meds3core.evaluation.steps import JudgedTrajectory, step_figures
from meds3core.evaluation.steps_paired import paired_steps
from meds3core.labels.people import labels_of
from meds3core.prm.loading import load_scorer
from meds3core.training.methods import StepData, read_step_data
from webapp.jobs import reports
from webapp.registry.models import ModelKind
from workers import inputs
from workers.context import JobContext
from workers.kinds.learnt import learnt_by


@dataclass(frozen=True, slots=True)
class Beside:
    """More label sets than one, as folders, the oldest first, and what they are together."""

    first: Path
    beside: tuple[Path, ...] = ()
    people: PeopleConfig = field(default_factory=PeopleConfig)
    data: StepData | None = None


def labels_beside(context: JobContext, spec: Any, data: Path) -> Beside:
    """What a process reward model learns from besides its first label set; said before it begins."""
    if not isinstance(spec, PrmSpec) or not spec.beside:
        return Beside(data)
    first, *folders = labels_folders(spec)
    found = read_step_data((first, *folders), spec.people)
    if found.combined is not None:
        text = combined_words(found)
        reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Labels", text=text)
    return Beside(first, tuple(folders), spec.people, found)


def labels_folders(spec: PrmSpec) -> list[Path]:
    """All label sets of a training, the oldest first: of one queue's sets the later ones count (`latest_labels`)."""
    named = sorted((spec.labels, *spec.beside), key=lambda one: inputs.registered(one, "labels").id)
    return [inputs.labels_folder(one) for one in named]


def combined_words(data: StepData) -> str:
    """What became of people's labels among those of rollouts, in one sentence."""
    found = data.combined
    assert found is not None
    parts = [f"{found.changed:,} change what rollouts said", f"{found.kept:,} agree", f"{found.added:,} are new"]
    if found.disputed:
        parts.append(f"{found.disputed:,} steps are disputed and left out")
    text = f"{found.judged:,} judged steps: {', '.join(parts)}."
    if data.held_out:
        text += f" {len(data.held_out):,} judged trajectories are kept out to measure on."
    return text


def labels_worth(context: JobContext, spec: Any, model: Path, more: Beside) -> Mapping[str, Any]:
    """For a model's provenance, as `people`: what was combined, and the figures on what was held out.

    Empty where no people's labels were learnt from beside rollouts'. Without a model to compare with, or without any
    held-out step, figures that need them are none.
    """
    if not isinstance(spec, PrmSpec) or more.data is None or more.data.combined is None:
        return {}
    combined, held_out = more.data.combined, more.data.held_out
    told: dict[str, Any] = {
        "rule": spec.people.rule,
        "weight": spec.people.weight,
        "judged": combined.judged,
        "changed": combined.changed,
        "kept": combined.kept,
        "added": combined.added,
        "disputed": combined.disputed,
        "held_out": len(held_out),
        "compared_with": str(inputs.registered(spec.compare, "model").id) if spec.compare else None,
        "compared_learnt": 0,
        "alone": None,
        "paired": None,
        "by_chance": None,
    }
    if spec.compare is not None and held_out:
        learnt = learnt_by(inputs.model(spec.compare, ModelKind.PRM))
        kept = held_out if learnt is None else tuple(learnt.unknown(held_out))
        told["compared_learnt"] = len(held_out) - len(kept)
        held_out = kept
    if held_out:
        text = "Measuring on the judged steps that were kept out."
        reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Worth", text=text)
        with ExitStack() as stack:
            scorers = [load_scorer(model, ScorerConfig())]
            stack.callback(scorers[0].close)
            if spec.compare is not None:
                before = inputs.reward_model(spec.compare, ModelKind.PRM)
                scorers.append(
                    load_scorer(before.path, ScorerConfig(), score_head=before.score_head, base=before.weights.path)
                )
                stack.callback(scorers[1].close)
            told |= _figures(score_together(held_out, scorers))
            if drawn := labels_of(held_out, more.data.by_chance):
                told["by_chance"] = _figures(score_together(drawn, scorers))
    return {"people": told}


def _figures(judged: Sequence[Sequence[JudgedTrajectory]]) -> dict[str, Any]:
    """The new model's figures, and against the earlier one's where there is one."""
    found: dict[str, Any] = {"alone": None, "paired": None}
    if judged[0]:
        figures = step_figures(judged[0], "given-prefix")
        found["alone"] = figures.model_dump(mode="json", exclude={"roc", "bins"})
        if len(judged) > 1:
            found["paired"] = paired_steps([judged[1]], [judged[0]]).model_dump(mode="json")
    return found
