"""A loop that takes half a minute: the bundled policy, a few clinic questions, tiny searches, no rounding by batch."""

import sys
from pathlib import Path

from meds3core.config.evolution import EVOLUTION_PRESETS, EvolutionConfig
from meds3core.data.write import write_questions
from meds3core.evolution.evolve import Evolved, evolve
from meds3core.evolution.loop import EvolutionInputs
from meds3core.progress import ProgressEvent
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate


def small_config(**changes) -> EvolutionConfig:
    content = EVOLUTION_PRESETS["clinic"].model_dump()
    content["engine"]["batch_invariant"] = True
    content["questions"]["quotas"]["count"] = 6
    content["search"] |= {"max_nodes": 6, "rollouts": 2, "min_rollouts": 2, "close_below": 2, "rollout_tokens": 96}
    small = {"batch_size": 4, "micro_batch_size": 4, "epochs": 1, "save_every": 1, "log_every": 1}
    for method in ("sft", "dpo", "prm"):
        content[method] |= small
    content["dpo"]["max_steps"] = 2
    content["sft_labels"]["per_question"] = 2
    content["evaluation"]["sampled_questions"] = 2
    content["evaluation"]["sampling"] |= {"n": 2, "max_tokens": 96}
    content["evaluation"]["greedy"] |= {"max_tokens": 96}
    content["evaluation"]["figures"] |= {"resamples": 200, "p_resamples": 200}
    return EvolutionConfig.model_validate(content | changes)


def small_inputs(folder: Path) -> EvolutionInputs:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 12), ("test", 5)):
        path = folder / f"{split}.jsonl"
        if not path.exists():
            write_questions(path, generate(split, count, seed=5))
    return EvolutionInputs(folder / "train.jsonl", policy_folder(), folder / "test.jsonl")


class Loud:
    """Says what happens, for whoever wants to kill the process at some point of it."""

    def emit(self, event: ProgressEvent) -> None:
        print(event.kind, event.data.get("stage", ""), flush=True)


def run(inputs: Path, out: Path, sink=None) -> Evolved:
    return evolve(small_config(), small_inputs(inputs), out, parallel=2, sink=sink)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Loud())
