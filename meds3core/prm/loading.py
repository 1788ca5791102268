"""Which class runs a reward model; the heavy ones are imported when first used."""

from importlib import import_module
from pathlib import Path

from meds3core.config.decoding import ScorerConfig
from meds3core.errors import MissingExtra
from meds3core.prm.base import TrajectoryScorer
from meds3core.prm.card import ScoreHead

_SCORERS = {
    "transformers": "meds3core.prm.scorer:TransformersScorer",
    "vllm": "meds3core.prm.vllm_scorer:VllmScorer",
}


def load_scorer(
    folder: Path | str,
    config: ScorerConfig,
    *,
    score_head: ScoreHead | None = None,
    base: Path | str | None = None,
) -> TrajectoryScorer:
    """A scorer for a PRM's or ORM's folder. Blocks until the model is in memory.

    `score_head` says how the logits of a model without a card are read; `base` says where an adapter's base lies.
    Raises `PolicyError`, `ConfigError`, `EngineError`, and `MissingExtra` where vLLM is asked for and not installed.
    """
    module_name, _, class_name = _SCORERS[config.kind].partition(":")
    try:
        scorer_class = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        if config.kind == "vllm" and not (error.name or "").startswith("meds3core"):
            raise MissingExtra(
                "The vLLM scorer needs the extra `vllm`: pip install 'meds3-studio[vllm]' on a machine with a GPU, "
                f"`make venv-vllm` for the CPU build. (Not found: {error.name}.)"
            ) from error
        raise
    scorer: TrajectoryScorer = scorer_class.load(folder, config, score_head=score_head, base=base)
    return scorer
