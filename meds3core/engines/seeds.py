"""From our seeds to those that vLLM takes, in this process or behind a server: the same there and here."""


def vllm_seed(seed: int) -> int:
    """A seed in vLLM's range; its upper half counts too, of which torch's generator on a CPU takes no notice."""
    seed &= (1 << 64) - 1
    return (seed ^ seed >> 32) & ((1 << 63) - 1)
