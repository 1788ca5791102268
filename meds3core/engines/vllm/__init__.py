"""The in-process engine on vLLM. See `engine`.

What stands here has to be set before torch or vLLM is imported.
"""

import os
import warnings

# Spinning threads collapse as soon as another process runs on the same few cores (measured: fifteen times slower).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# One process: its start takes seconds instead of twenty, and a thread of ours decides when the engine takes a step.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
# Nothing is reported to anybody, and the log keeps to what a person has to know.
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\.")
