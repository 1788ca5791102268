"""Which engine serves a policy, and how."""

from typing import Annotated, Literal

from pydantic import Field

from meds3core.types.record import Record

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class TransformersEngineConfig(Record):
    """In-process transformers: CPU or CUDA, no extra needed."""

    kind: Literal["transformers"] = "transformers"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")
    dtype: Dtype = "auto"
    max_batch: int = Field(default=256, ge=1, le=4096, description="Sequences decoded together")
    context_length: int | None = Field(default=None, ge=16, description="Cap below the model's own; None: the model's")
    cache_mebibytes: int | None = Field(
        default=None, ge=1, description="Key-value cache; None: most of a GPU's free memory, or part of the machine's"
    )
    batch_invariant: bool = Field(
        default=False,
        description="Every request computed by itself: slower, exactly the same alone and in company",
    )


class VllmEngineConfig(Record):
    """In-process vLLM (extra `vllm`; on a CPU the test build)."""

    kind: Literal["vllm"] = "vllm"
    dtype: Dtype = "auto"
    max_batch: int = Field(default=256, ge=1, le=4096, description="vLLM's max_num_seqs")
    context_length: int | None = Field(default=None, ge=16)
    gpu_memory_utilization: float = Field(default=0.9, gt=0.0, le=1.0)
    tensor_parallel_size: int = Field(default=1, ge=1)
    cpu_cache_mebibytes: int = Field(default=1024, ge=64, description="Key-value cache on a CPU")
    gpu_cache_mebibytes: int | None = Field(
        default=None, ge=64, description="Key-value cache on a GPU; None: what gpu_memory_utilization leaves for it"
    )
    adapter: str | None = Field(default=None, description="Folder of a LoRA adapter served on top of the policy")


class OpenAIEngineConfig(Record):
    """Any OpenAI-compatible server. The key is read from the environment variable `key_variable`, never stored."""

    kind: Literal["openai"] = "openai"
    base_url: str = Field(min_length=8, description="e.g. http://server:8000/v1")
    model: str = Field(default="", max_length=200, description="Its name there; empty: found by the policy's own")
    key_variable: str = "MEDS3_OPENAI_KEY"
    api: Literal["completions", "chat"] = Field(
        default="completions",
        description="completions: prompts rendered here with the policy's tokenizer; chat: the server renders",
    )
    max_in_flight: int = Field(default=64, ge=1, le=4096)
    retries: int = Field(default=5, ge=0, le=20)
    timeout_seconds: float = Field(default=600.0, gt=0)
    context_length: int = Field(default=4096, ge=16)


EngineConfig = Annotated[TransformersEngineConfig | VllmEngineConfig | OpenAIEngineConfig, Field(discriminator="kind")]
