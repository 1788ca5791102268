"""Cheap real stages for tests: they add numbers, count in ticks, and fail in every way a stage can."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from meds3core.config.search import DrawConfig
from meds3core.errors import ConfigError
from meds3core.evolution.graph import StageKind
from meds3core.evolution.stage import StageJob
from meds3core.progress import ProgressEvent
from meds3core.types.record import Record


class AddStage(Record):
    """Makes `sum.txt`: `plus` and every number found in the inputs `from`. `draw` is there to be nested."""

    plus: int = 0
    ticks: int = 0
    tick_seconds: float = 0.01
    draw: DrawConfig = DrawConfig(temperature=1.0, top_p=1.0)


class FaultStage(Record):
    fault: str


def add(settings: AddStage, job: StageJob) -> dict[str, Any]:
    """Counts its ticks in a file, so that an interrupted attempt shows in the next one's."""
    ticks = job.folder / "ticks.txt"
    done = len(ticks.read_text()) if ticks.exists() else 0
    for tick in range(done, settings.ticks):
        job.check()
        with ticks.open("a") as file:
            file.write(".")
        job.sink.emit(ProgressEvent(kind="tick", done=tick + 1, total=settings.ticks))
        time.sleep(settings.tick_seconds)
    total = settings.plus + sum(int(path.read_text()) for path in job.paths("from"))
    (job.folder / "sum.txt").write_text(str(total))
    return {"sum": total, "threads": os.environ["OMP_NUM_THREADS"], "parent": os.getppid()}


def fault(settings: FaultStage, job: StageJob) -> dict[str, Any]:
    match settings.fault:
        case "user":
            raise ConfigError("plus and minus conflict: leave one out")
        case "ours":
            raise ValueError("question text that must not be shown")
        case "disk":
            Path("/dev/full").write_text("x")
        case "crash":
            os.abort()
        case "stubborn":
            (job.folder / "pid").write_text(str(os.getpid()))
            time.sleep(600)
        case "leave":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            return {"child": child.pid}
        case "orphan":
            (job.folder / "parent").write_text(str(os.getppid()))
            job.sink.emit(ProgressEvent(kind="ready"))
            time.sleep(600)
        case "child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (job.folder / "pids").write_text(f"{os.getpid()} {child.pid}")
            job.sink.emit(ProgressEvent(kind="ready"))
            time.sleep(600)
    return {}


ADD = StageKind("add", 1, AddStage, f"{__name__}:add", imports=("no_such_module",), seconds_per_unit=1.0)
FAULT = StageKind("fault", 1, FaultStage, f"{__name__}:fault")
