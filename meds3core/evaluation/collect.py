"""Everything that an evaluation needs from a policy and from reward models, drawn once into a folder.

    greedy/  samples/  validation/          sample sets (`decoding.samples`)
    scores-NAME/  validation-scores-NAME/   what reward model NAME gave them (`decoding.scores`)
    probes/TRANSFORM/  probes/faithfulness.json

Stopped anywhere, the same call continues. Engine and scorers are handed in: nothing here loads a model.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from meds3core.config.decoding import SampleConfig
from meds3core.config.evaluation import CollectConfig, EvaluationConfig, ProbeConfig
from meds3core.data.write import atomic_text
from meds3core.decoding.samples import SampleSet, draw_samples
from meds3core.decoding.scores import ScoreSet, score_samples
from meds3core.engines.base import Engine
from meds3core.evaluation.faithfulness import (
    EarlyAnswer,
    FaithfulnessFigures,
    ask_corrupted,
    ask_early,
    corrupted_figures,
    early_figures,
)
from meds3core.evaluation.judging import StepJudge
from meds3core.evaluation.robustness import TransformFigures, transform_figures, transformed
from meds3core.evaluation.run import Probes, Validation
from meds3core.prm.base import TrajectoryScorer
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.text.prompts import TEMPLATES, PromptTemplate
from meds3core.types.question import Question
from meds3core.types.record import Record


@dataclass(frozen=True)
class Collected:
    """What was drawn from a policy."""

    greedy: SampleSet
    samples: SampleSet | None
    validation: SampleSet | None
    probes: Probes


class _StoredProbe(Record):
    """Figures of the faithfulness probe, and a digest of all that they depend on."""

    made_of: str
    figures: FaithfulnessFigures


async def collect(
    questions: Sequence[Question],
    engine: Engine,
    folder: Path,
    config: CollectConfig,
    *,
    policy_prompt: str,
    validation: Sequence[Question] = (),
    judge: StepJudge | None = None,
    level: EvaluationConfig | None = None,
    concurrency: int = 256,
    retry_failed: bool = False,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> Collected:
    """Draw what is missing in `folder`.

    `policy_prompt`: name of the prompt the policy was made for, where the configuration says auto. Validation
    questions get samples like the sampled test questions. Raises what `draw_samples` raises.
    """
    sink = sink or NullSink()

    async def draw(asked: Sequence[Question], sampling: SampleConfig, name: str) -> SampleSet:
        sink.emit(ProgressEvent(kind="part", data={"name": name}))
        return await draw_samples(
            asked,
            engine,
            template(sampling, policy_prompt),
            sampling,
            config.seed,
            folder / name,
            concurrency=concurrency,
            retry_failed=retry_failed,
            sink=sink,
            cancel=cancel,
        )

    greedy = await draw(questions, config.greedy, "greedy")
    samples = known = None
    if config.samples is not None:
        samples = await draw(questions[: config.sampled_questions], config.samples, "samples")
        if validation:
            known = await draw(validation, config.samples, "validation")
    probes = Probes()
    if config.probes is not None:
        options = level or EvaluationConfig()
        robustness = []
        for name, (changed, left_out) in transformed(questions, config.probes).items():
            if changed:
                answers = await draw(changed, config.greedy, f"probes/{name}")
                robustness.append(
                    transform_figures(name, greedy.rows, answers.rows, left_out, level=options.level, seed=options.seed)
                )
        faithfulness = await _faithfulness(
            greedy, engine, folder, config.probes, config.greedy, policy_prompt, judge, options, sink, cancel
        )
        probes = Probes(tuple(found for found in robustness if isinstance(found, TransformFigures)), faithfulness)
    return Collected(greedy, samples, known, probes)


def score_collected(
    collected: Collected,
    scorers: Mapping[str, TrajectoryScorer],
    folder: Path,
    *,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> tuple[dict[str, ScoreSet], Validation | None]:
    """Score the samples, and the validation samples, with every reward model; what is there is not scored again."""
    sink = sink or NullSink()

    def score(samples: SampleSet, prefix: str) -> dict[str, ScoreSet]:
        found = {}
        for name, scorer in scorers.items():
            sink.emit(ProgressEvent(kind="part", data={"name": f"{prefix}{name}"}))
            found[name] = score_samples(samples, scorer, folder / f"{prefix}{name}", sink=sink, cancel=cancel)
        return found

    scores = score(collected.samples, "scores-") if collected.samples is not None else {}
    if collected.validation is None:
        return scores, None
    return scores, Validation(collected.validation, score(collected.validation, "validation-scores-"))


def template(config: SampleConfig, policy_prompt: str) -> PromptTemplate:
    """The prompt that the configuration names, or else the policy's own."""
    return TEMPLATES[policy_prompt if config.prompt == "auto" else config.prompt]


async def _faithfulness(
    greedy: SampleSet,
    engine: Engine,
    folder: Path,
    config: ProbeConfig,
    sampling: SampleConfig,
    policy_prompt: str,
    judge: StepJudge | None,
    options: EvaluationConfig,
    sink: ProgressSink,
    cancel: CancelToken | None,
) -> FaithfulnessFigures | None:
    if not (config.early_answers or config.corrupted_step):
        return None
    parts = (
        greedy.content_hash,
        config.model_dump_json(),
        sampling.model_dump_json(),
        options.model_dump_json(),
        judge.name if judge else "",
    )
    made_of = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
    path = folder / "probes" / "faithfulness.json"
    stored = _read(path)
    if stored is not None and stored.made_of == made_of:
        return stored.figures
    rows, prompt = greedy.rows[: config.questions], template(sampling, policy_prompt)
    curve: tuple[EarlyAnswer, ...] = ()
    area = corrupted = None
    if config.early_answers:
        sink.emit(ProgressEvent(kind="part", data={"name": "early answers"}))
        outcomes = await ask_early(rows, engine, prompt, sink=sink, cancel=cancel)
        curve, area = early_figures(outcomes, level=options.level, seed=options.seed)
    if config.corrupted_step:
        sink.emit(ProgressEvent(kind="part", data={"name": "corrupted steps"}))
        changed, left_out = await ask_corrupted(
            rows, engine, prompt, max_tokens=sampling.max_tokens, seed=config.seed, sink=sink, cancel=cancel
        )
        corrupted = corrupted_figures(changed, left_out, judge, level=options.level, seed=options.seed)
    figures = FaithfulnessFigures(early=curve, area=area, corrupted=corrupted)
    _write(path, _StoredProbe(made_of=made_of, figures=figures))
    return figures


def _write(path: Path, probe: _StoredProbe) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_text(path) as file:
        file.write(probe.model_dump_json(indent=1) + "\n")


def _read(path: Path) -> _StoredProbe | None:
    """What an earlier call found; a file that cannot be read is made again."""
    try:
        return _StoredProbe.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
