"""What a GPU does with larger models: `python -m tests.benchmarks.bench_gpu` prints one JSON line per part, then all.

The bundled policy is far too small for a GPU. `1B` and `360M` write what it writes (see `widened`), so that searches,
trees and trajectories are real ones; `random` has the shape and the vocabulary of Qwen2.5 0.5B and random weights.
Everything runs in bfloat16 (weights that are trained in float32, products in bfloat16). Ratios are of one run.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import TransformersEngineConfig
from meds3core.config.training import LoraSettings
from meds3core.engines.base import Engine
from meds3core.engines.loading import load_engine
from meds3core.engines.placement import avoid_planned_attention
from meds3core.engines.policy import inspect_policy
from meds3core.prm.card import inspect_reward_model
from meds3core.prm.scorer import TransformersScorer
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from tests.benchmarks import bench_prm, bench_search, bench_training
from tests.benchmarks.bench_transformers_engine import compare as compare_engine
from tests.benchmarks.widened import SHAPES, write_widened

ADAPTER = LoraSettings(rank=32, alpha=64)


def write_random(folder: Path, tiny: bool) -> Path:
    """Qwen2.5 0.5B with random weights; its head is scaled so that the next token is about as sure as in a real one."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128} if tiny else {}
    torch.manual_seed(0)
    config = Qwen2Config(
        **{"hidden_size": 896, "num_hidden_layers": 24, "intermediate_size": 4864} | sizes,
        vocab_size=2_000 if tiny else 151_936,
        num_attention_heads=14 if not tiny else 2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, 6.0 / config.hidden_size**0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(policy_folder() / name, folder / name)
    return folder


class Bench:
    """The models, made when first used, and the parts."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options

    def model(self, name: str) -> Path:
        """A folder of one of the models."""
        path = self.folder / name
        if name == "bundled":
            return policy_folder()
        if not path.exists():
            if name == "random":
                write_random(path, self.options.tiny)
            else:
                write_widened(path, SHAPES["tiny" if self.options.tiny else name])
        return path

    def engines(self) -> dict[str, Any]:
        """Tokens per second by requests in flight, against the library's `generate` on batches of the same size."""
        levels = (1, 8) if self.options.tiny else (1, 8, 64, 256)
        return {
            name: compare_engine(self.model(name), TransformersEngineConfig(), levels, self.options.seconds)
            for name in ("bundled", "1B", "random")
        }

    def search(self) -> dict[str, Any]:
        """Search against the engine's limit, and against the published schedule."""
        config = TransformersEngineConfig()
        questions = generate("train", self.options.questions, 5)

        def make() -> Engine:
            return load_engine(self.model("1B"), config)

        half = len(questions) // 2
        return {
            "limit": asyncio.run(bench_search.against_engine_limit(make, questions, half)),
            "published": asyncio.run(bench_search.against_published_schedule(make, questions[:64], self.options.few)),
        }

    def prm(self) -> dict[str, Any]:
        """Scoring in one pass per tree, per trajectory and per step; training by trees and by trajectories."""
        trees = asyncio.run(bench_prm.grow_trees(self.options.trees, 5))
        reward = bench_prm.write_reward_model(self.folder / "prm", self.model("1B"), torch.bfloat16)
        figures: dict[str, Any] = {"scoring": bench_prm.scoring(trees, reward, 3)}
        quick: dict[str, Any] = {"lora": ADAPTER, "learning_rate": 5e-5}
        figures["training"] = bench_prm.training(trees, self.folder, 2, self.model("1B"), **quick)
        figures["difference"] = self._difference(trees)
        return figures

    def _difference(self, trees: list[Any]) -> dict[str, float]:
        """Greatest differences of scores: a tree against its trajectories, and bfloat16 against float32.

        The model is the bundled policy's backbone under a head with random weights.
        """
        folder = bench_prm.write_reward_model(self.folder / "headed", policy_folder(), torch.float32)
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        torch.manual_seed(1)
        weights["score.weight"] = torch.randn_like(weights["score.weight"]) * 0.3
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        scores = {}
        for name, dtype, layout in (
            ("tree", "float32", "auto"),
            ("flat", "float32", "flat"),
            ("tree_bfloat16", "bfloat16", "auto"),
            ("flat_bfloat16", "bfloat16", "flat"),
        ):
            scorer = TransformersScorer(inspect_reward_model(folder), ScorerConfig(dtype=dtype), layout=layout)
            scores[name] = torch.tensor([score for tree in trees for score in scorer.score_tree(tree)])
            scorer.close()
        exact = scores.pop("flat")
        found = {name: float((values - exact).abs().max()) for name, values in scores.items()}
        return found | {"spread": float(exact.max() - exact.min())}

    def training(self) -> dict[str, Any]:
        """Our loop against the library's."""
        count, start = self.options.examples, self.model("360M")
        return {
            "sft": bench_training.compare(*bench_training.sft(count, None, start), self.options.repeats),
            "dpo": bench_training.compare(*bench_training.dpo(count, None, start, lora=ADAPTER), self.options.repeats),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["engines", "search", "prm", "training"])
    parser.add_argument("--tiny", action="store_true", help="small models and few examples, to try it on a CPU")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of an engine")
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--few", type=int, default=4, help="questions that are searched one at a time")
    parser.add_argument("--trees", type=int, default=12)
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    logging.disable_progress_bar()
    avoid_planned_attention()  # for what is compared with, too
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options)
        for part in options.only:
            work: Callable[[], dict[str, Any]] = getattr(bench, part)
            start = time.perf_counter()
            with redirect_stdout(StringIO()):
                figures[part] = work()
            print(json.dumps({part: figures[part], "seconds": round(time.perf_counter() - start)}), flush=True)
        if not options.tiny:
            figures["parameters"] = {
                each.name: inspect_policy(each).parameters for each in Path(name).iterdir() if each.name in _MODELS
            }
    print(json.dumps(figures), flush=True)


_MODELS = ("1B", "360M", "random")

if __name__ == "__main__":
    main()
