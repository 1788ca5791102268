"""Scoring as its own process, to be killed: `python -m tests.core.decoding.score_child SAMPLES FOLDER`."""

import sys
import time
from pathlib import Path

from meds3core.decoding.samples import read_samples
from meds3core.decoding.scores import score_samples
from tests.core.decoding.factory import ToyModel


class SlowModel(ToyModel):
    def score(self, items):
        time.sleep(0.05)
        return super().score(items)


if __name__ == "__main__":
    print("started", flush=True)
    score_samples(read_samples(Path(sys.argv[1])), SlowModel(), Path(sys.argv[2]), questions_at_once=3)
