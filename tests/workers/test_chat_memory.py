"""How much memory of its device a model for chat is said to need, and what its engine is told."""

from types import SimpleNamespace

import pytest

from meds3core.engines.memory import token_bytes
from meds3core.engines.policy import model_size
from meds3core.machine import memory_limit
from meds3core.sandbox.bundled import policy_folder
from tests.core.prm.tiny import write_prm
from workers.chatting.engines import _too_much
from workers.chatting.memory import SHELVES, Need, Plan, memory_budget, policy_plan, scorer_plan

GPU = SimpleNamespace(is_cpu=False, bytes=80 << 30, share=1.0)
CPU = SimpleNamespace(is_cpu=True, bytes=0, share=0.5)


def container(mebibytes: int) -> SimpleNamespace:
    """A processor with so much memory."""
    return SimpleNamespace(is_cpu=True, bytes=mebibytes << 20, share=0.5)


def test_chats_may_take_a_share_of_what_the_process_may_use(settings):
    settings.CHAT_MEMORY_SHARE = None
    assert memory_budget(CPU) == memory_limit() // 2
    assert memory_budget(GPU) == int(GPU.bytes * 0.8)
    assert memory_budget(SimpleNamespace(is_cpu=False, bytes=80 << 30, share=0.25)) == int(GPU.bytes * 0.2)
    settings.CHAT_MEMORY_SHARE = 0.25
    assert memory_budget(CPU) == memory_limit() // 4


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
@pytest.mark.parametrize("device", [GPU, container(1024)])
def test_a_policy_needs_its_weights_a_cache_and_room_to_compute(settings, kind, device):
    settings.CHAT_ENGINE = kind
    size, plan = model_size(policy_folder()), policy_plan(policy_folder(), None, device)
    item = 4 if device.is_cpu else 2
    assert plan.need.weights == size.parameters * item
    assert plan.need.working > 64 * size.vocabulary * 4, "logits of all turns"
    assert plan.need.cache <= memory_budget(device) // 8 + (3 << 20), "rounded up to whole MiB"
    if kind == "transformers":
        given = plan.engine.cache_mebibytes * SHELVES
    else:
        given = plan.engine.cpu_cache_mebibytes if device.is_cpu else plan.engine.gpu_cache_mebibytes
    assert given * (1 << 20) == plan.need.cache, "the engine keeps to it"
    of_token = token_bytes(size, "float32" if device.is_cpu else "bfloat16")
    assert plan.engine.context_length * of_token <= plan.need.cache, "one whole conversation fits"


def test_vllm_is_told_to_take_no_more_than_it_needs(settings):
    settings.CHAT_ENGINE = "vllm"
    plan = policy_plan(policy_folder(), None, GPU)
    assert plan.engine.gpu_memory_utilization * GPU.bytes == pytest.approx(plan.need.total)
    assert 2 * plan.need.total < memory_budget(GPU), "two stand beside each other"
    assert plan.need.working > 2 << 30, "what it takes besides is counted"


def test_where_memory_is_scarce_the_cache_and_conversations_are_shorter(settings):
    settings.CHAT_ENGINE, settings.CHAT_MEMORY_SHARE = "transformers", 0.5
    roomy, scarce = (policy_plan(policy_folder(), None, container(size)) for size in (32 << 10, 64))
    assert roomy.engine.context_length == model_size(policy_folder()).context_length == 4096
    assert scarce.need.cache == 5 << 20 and 100 < scarce.engine.context_length < 1000
    assert scarce.need.weights == roomy.need.weights


def test_a_reward_model_needs_no_cache_and_an_adapter_its_own_weights(tmp_path):
    folder = write_prm(tmp_path / "prm")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"x" * 1000)
    alone, adapted = scorer_plan(folder, None, CPU), scorer_plan(folder, adapter, CPU)
    assert alone.need.cache == 0 and alone.need.working > 0 and alone.engine is None
    assert adapted.need.weights == alone.need.weights + 1000


def test_what_does_not_fit_is_told_with_all_that_it_takes():
    policy = Plan(Need(weights=6000 << 20, cache=1000 << 20, working=300 << 20))
    scorer = Plan(Need(weights=3000 << 20, cache=0, working=200 << 20))
    assert _too_much([policy], 4000 << 20, 8000 << 20) == (
        "The model needs 7300 MiB (6000 of weights, 1000 of key-value cache, 300 to compute with), and chats may take "
        "4000 of this device's 8000 MiB. The people who run this instance can raise MEDS3_CHAT_MEMORY_SHARE."
    )
    both = _too_much([policy, scorer], 4000 << 20, 8000 << 20)
    assert both.startswith("The model and the reward model need 10500 MiB (9000 of weights, ")
    assert both.endswith("can give chats a larger device."), "no share of it would do"
