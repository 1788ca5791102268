"""The light rooms import nothing heavy, and importing never installs or writes anything."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "vllm", "pyarrow", "datasets")


@pytest.mark.parametrize(
    "module",
    [
        "meds3core.types.tree",
        "meds3core.config.search",
        "meds3core.config.engine",
        "meds3core.text.prompts",
        "meds3core.verify.judge",
        "meds3core.data.read",
        "meds3core.data.trees",
        "meds3core.search.run",
        "meds3core.search.grow",
        "meds3core.engines.loading",
        "meds3core.report.page",
        "meds3core.labels.build",
        "meds3core.data.labels",
        "meds3core.training.preview",
        "meds3core.decoding.curves",
        "meds3core.evaluation.run",
        "meds3core.evolution.evolve",
        "meds3core.cli.main",
        "webapp",
    ],
)
def test_a_light_room_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not found, f"importing {module} imports {', '.join(found)}"
