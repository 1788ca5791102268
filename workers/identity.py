"""Which worker this is: its name, what it has, how it is told to drain."""

import os
import platform
import shutil
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings

NAME_VARIABLE = "MEDS3_WORKER_NAME"
"""Set by the operator where one host has several workers of a queue: a name belongs to one running worker."""


def worker_name(queue: str) -> str:
    """The name set by the operator, or queue and host."""
    return os.environ.get(NAME_VARIABLE) or f"{queue}@{socket.gethostname()}"


def drain_flag(name: str) -> Path:
    """The file whose existence tells the worker's processes to finish."""
    folder = Path(settings.HOME) / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"drain-{name.replace('/', '-')}"


def devices() -> list[dict[str, object]]:
    """The GPUs that this worker sees, without loading CUDA; else the CPU."""
    query = ["nvidia-smi", "--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits"]
    if shutil.which(query[0]):
        listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
        rows = [[cell.strip() for cell in line.split(",")] for line in listed.stdout.splitlines()]
        mine = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        found = [
            {"uuid": row[0], "name": row[1], "mebibytes": int(row[2])}
            for row in rows
            if len(row) == 3 and row[2].isdigit() and (not mine or row[0] in mine.split(","))
        ]
        if found:
            return found
    return [{"uuid": "cpu:0", "name": platform.processor() or platform.machine(), "cores": os.cpu_count()}]


def versions() -> dict[str, str]:
    """Of what decides a job's outcome."""
    found = {"python": platform.python_version()}
    for name in ("meds3-studio", "torch", "transformers", "vllm", "trl"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
