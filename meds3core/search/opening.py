"""Opens what a search needs from folders and settings: engine, prompt, perhaps a guiding reward model; closes it after.

The command line, the loop and the workers all open a search here. Nothing heavy is imported before an engine is built.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.config.search import SearchConfig
from meds3core.decoding.metering import MeteredScorer, SharedScorer
from meds3core.engines.loading import load_engine
from meds3core.engines.policy import PolicyFolder
from meds3core.errors import ConfigError
from meds3core.prm.card import RewardFolder
from meds3core.prm.loading import load_scorer
from meds3core.search.base import SearchTools
from meds3core.search.grow import provenance
from meds3core.search.run import ScorerProvenance, SearchManifest
from meds3core.text.prompts import TEMPLATES, PromptTemplate
from meds3core.verify.judge import verifier_for


@dataclass(frozen=True, slots=True)
class Guide:
    """The reward model that guides a search, and how it is run."""

    folder: RewardFolder
    config: ScorerConfig


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """What trees are grown with, and the record of it."""

    tools: SearchTools
    manifest: SearchManifest


def named_prompt(name: str, folder: PolicyFolder) -> PromptTemplate:
    """The prompt of this name; `auto`: the one that the policy's folder names."""
    return TEMPLATES[folder.prompt if name == "auto" else name]


def check_guide(config: SearchConfig, guide: Guide | None) -> None:
    """Raise `ConfigError` when settings and reward model do not go together."""
    if guide is None:
        if config.simulation == "scorer":
            raise ConfigError("simulation 'scorer' needs a process reward model; none was named")
        return
    if config.simulation != "scorer":
        raise ConfigError("a reward model is named, but the search simulates by rollouts: set simulation to scorer")
    if guide.folder.kind != "prm":
        raise ConfigError(
            f"{guide.folder.name} is an outcome reward model; tree search scores steps: name a process one"
        )


@asynccontextmanager
async def open_search(
    folder: PolicyFolder,
    engine_config: EngineConfig,
    config: SearchConfig,
    *,
    seed: int,
    guide: Guide | None = None,
) -> AsyncIterator[OpenSearch]:
    """Build the engine (which blocks until the model is in memory) and the scorer; both are closed at the end.

    Raises what `load_engine` and `load_scorer` raise, and `ConfigError` when settings and reward model disagree.
    """
    check_guide(config, guide)
    async with AsyncExitStack() as stack:
        engine = load_engine(folder.path, engine_config)
        stack.push_async_callback(engine.close)
        scorer, made_by = None, None
        if guide is not None:
            found = guide.folder
            loaded = load_scorer(found.path, guide.config, score_head=found.score_head, base=found.weights.path)
            stack.callback(loaded.close)
            scorer = MeteredScorer(await stack.enter_async_context(SharedScorer(loaded)))
            info = loaded.info
            made_by = ScorerProvenance(model=info.model, model_hash=info.model_hash, prompt_hash=info.prompt_hash)
        tools = SearchTools(
            engine=engine,
            verifier_for=verifier_for,
            prompt=named_prompt(config.prompt, folder),
            config=config,
            seed=seed,
            scorer=scorer,
            scorer_hash=made_by.model_hash if made_by else "",
        )
        manifest = SearchManifest(
            provenance=provenance(tools), config=json.loads(config.model_dump_json()), scorer=made_by
        )
        yield OpenSearch(tools, manifest)
