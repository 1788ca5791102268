"""A tiny random Llama with its own tokenizer, and a random adapter, made on the spot for tests of real engines."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 512
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def save_tokenizer(folder: Path) -> int:
    """Byte-level pairs learnt from a few steps; gives the size of the vocabulary."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    texts = [
        f"Step {n % 9}: The daily amount is {n} mg per kg times {3 * n} kg.\n\nThe answer is {7 * n} mg."
        for n in range(500)
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def save_policy(folder: Path) -> Path:
    """Head size 64 and float32, which vLLM on a CPU serves; weights large enough for a peaked distribution."""
    vocabulary = save_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        initializer_range=0.12,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def save_adapter(base: Path, adapter: Path, merged: Path) -> None:
    """A random LoRA adapter on the attention's `q_proj` and `v_proj`, and the base with it merged in."""
    rank, alpha = 8, 16
    generator = torch.Generator().manual_seed(1)
    weights = load_file(base / "model.safetensors")
    parts = {}
    for name in [name for name in weights if name.endswith(("q_proj.weight", "v_proj.weight"))]:
        rows, columns = weights[name].shape
        down = 0.2 * torch.randn(rank, columns, generator=generator)
        up = 0.2 * torch.randn(rows, rank, generator=generator)
        stem = "base_model.model." + name.removesuffix(".weight")
        parts |= {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
        weights[name] = weights[name] + alpha / rank * (up @ down)
    adapter.mkdir()
    save_file(parts, adapter / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        "base_model_name_or_path": str(base),
    }
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    merged.mkdir()
    for file in base.iterdir():
        if file.suffix in {".json", ".jinja"}:
            (merged / file.name).write_bytes(file.read_bytes())
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
