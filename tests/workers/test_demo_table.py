"""The table at the end of `meds3 demo`, from a result as the job stores it."""

import io
import json

from rich.console import Console

from meds3core.evaluation.stages import StageOutcomes, stage_figures
from workers.stack.demo import accuracy_table


def test_every_stage_with_its_interval_and_against_the_base():
    ids = [f"q{number}" for number in range(40)]
    stages = stage_figures(
        [
            StageOutcomes(name="base", right=({one: float(at < 10) for at, one in enumerate(ids)},)),
            StageOutcomes(name="dpo-2", after="base", right=({one: float(at < 30) for at, one in enumerate(ids)},)),
        ]
    )
    stored = [json.loads(one.model_dump_json()) for one in stages]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(accuracy_table(stored))
    base, last = [line for line in console.export_text().splitlines() if line.startswith(("base", "dpo-2"))]
    assert "0.250 [" in base and "+" not in base
    assert "0.750 [" in last and "+0.500 [" in last and "p " in last
