"""Which class serves which engine configuration; the heavy ones are imported when first used."""

from importlib import import_module
from pathlib import Path

from meds3core.config.engine import EngineConfig
from meds3core.engines.base import Engine
from meds3core.errors import MissingExtra

_ENGINES = {
    "transformers": "meds3core.engines.transformers.engine:TransformersEngine",
    "vllm": "meds3core.engines.vllm.engine:VllmEngine",
    "openai": "meds3core.engines.openai.engine:OpenAIEngine",
}
_EXTRAS = {
    "vllm": "The vLLM engine needs the extra `vllm`: pip install 'meds3-studio[vllm]' on a machine with a GPU, "
    "`make venv-vllm` for the CPU build.",
}


def load_engine(policy: str | Path, config: EngineConfig) -> Engine:
    """An engine that serves a policy: a model folder or, for a remote server, also the name of a model there.

    Blocks until the model is in memory. Raises `PolicyError`, `ConfigError`, `EngineError`, and `MissingExtra`,
    which names the extra that is not installed.
    """
    module_name, _, class_name = _ENGINES[config.kind].partition(":")
    try:
        engine_class = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        if config.kind in _EXTRAS and not (error.name or "").startswith("meds3core"):
            raise MissingExtra(f"{_EXTRAS[config.kind]} (Not found: {error.name}.)") from error
        raise
    engine: Engine = engine_class.load(policy, config)
    return engine
