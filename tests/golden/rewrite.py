"""Write the golden trees anew: `python -m tests.golden.rewrite`. Read the difference before committing it."""

import asyncio
import json
from pathlib import Path

from meds3core.config.search import SearchConfig
from meds3core.data.trees import tree_line
from meds3core.engines.scripted import RecordingEngine
from meds3core.search.grow import grow
from tests.core.search.toy import make_question, make_tools, small_config

FOLDER = Path(__file__).parent
NUMBERS = (3, 11, 12, 40, 77)
CASES: dict[str, tuple[SearchConfig, str]] = {
    "plain": (small_config(max_nodes=14, rollouts=4, min_rollouts=2), "plain"),
    "guided": (small_config(max_nodes=10, rollouts=4, min_rollouts=2, backup="anchored"), "guided"),
    "scorer": (small_config(max_nodes=14, simulation="scorer", backup="mean"), "plain"),
}


def main() -> None:
    for name, (config, prompt) in CASES.items():
        recorder = RecordingEngine(make_tools(config, prompt=prompt).engine)
        tools = make_tools(config, prompt=prompt, engine=recorder)
        trees = {number: asyncio.run(grow(make_question(number), tools)) for number in NUMBERS}
        recorder.recording.save(FOLDER / f"recording-{name}.json")
        document = {
            "config": config.model_dump(mode="json"),
            "prompt": prompt,
            "trees": {str(number): json.loads(tree_line(tree)) for number, tree in trees.items()},
        }
        (FOLDER / f"trees-{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
