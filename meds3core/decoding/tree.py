"""Tree search at inference: the search room's `grow`, guided by a process reward model, then its vote-sum.

There is no gold: completeness and reflection go by the reward model's scores (METHOD.md §2, "PRM-guided search").
"""

from meds3core.config.search import SearchConfig
from meds3core.decoding.answer import Answer, Candidate
from meds3core.decoding.metering import MeteredEngine, MeteredScorer, SharedScorer, cost_of
from meds3core.engines.base import Engine
from meds3core.errors import ConfigError
from meds3core.search.answer import vote_sum
from meds3core.search.base import SearchTools
from meds3core.search.grow import Watch, grow
from meds3core.text.prompts import PromptTemplate
from meds3core.types.question import OpenQuestion, Question
from meds3core.types.tree import Tree
from meds3core.verify.judge import verifier_for


def inference_config(config: SearchConfig) -> SearchConfig:
    """The same search as it runs at inference: guided by scores, without gold."""
    return SearchConfig.model_validate(config.model_dump() | {"mode": "inference", "simulation": "scorer"})


async def answer_by_tree(
    question: OpenQuestion,
    engine: Engine,
    prompt: PromptTemplate,
    scorer: SharedScorer,
    config: SearchConfig,
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> tuple[Answer, Tree]:
    """Grow one tree and vote over its finished leaves; `chosen` counts among these, in order of creation.
    `watch` is shown the tree while it grows.

    Raises `ConfigError` when the configuration is not one for inference or the scorer is not a PRM, and what engine
    and scorer raise.
    """
    if config.mode != "inference":
        raise ConfigError("answering by tree search needs a configuration of mode 'inference'")
    if scorer.scorer.info.kind != "prm":
        raise ConfigError("tree search scores steps: it needs a process reward model (PRM)")
    if isinstance(question, Question):
        question = question.without_gold()
    metered, reader = MeteredEngine(engine), MeteredScorer(scorer)
    tools = SearchTools(metered, verifier_for, prompt, config, seed, reader, scorer.scorer.info.model_hash)
    tree = await grow(question, tools, watch)
    found = vote_sum(tree)
    has_children = {node.parent for node in tree.nodes}
    leaves = [node for node in tree.nodes if node.answer is not None and node.id not in has_children]
    chosen = None if found is None else next(i for i, leaf in enumerate(leaves) if leaf.id == found.best_leaf)
    return (
        Answer(
            answer=found.answer if found else None,
            chosen=chosen,
            why=f"sum {found.score:.4f} over {len(leaves)} leaves" if found else "no leaf states an answer",
            candidates=tuple(
                Candidate(
                    bodies=tuple(node.text for node in tree.path(leaf.id)),
                    answer=leaf.answer,
                    score=leaf.rollout_value,
                )
                for leaf in leaves
            ),
            stopped_after=len(tree.nodes) - 1,
            cost=cost_of(metered, reader),
        ),
        tree,
    )
