"""A policy as large as one likes that writes what the bundled one writes.

Width, heads, layers and neurons are added to the bundled weights in a way that changes no output: the new part of the
residual stream stays 0, and what new heads, neurons and layers compute (from random weights, so that it costs what it
costs) is multiplied by 0 before it is added. So a search on a large model can be measured as a search: texts, stops
and answers come as in the bundled policy's. The vocabulary stays small.
"""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from meds3core.sandbox.bundled import policy_folder


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama model; heads have the bundled policy's 64 dimensions."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    intermediate: int


SHAPES = {
    "tiny": Shape(256, 4, 4, 4, 768),
    "360M": Shape(960, 32, 15, 5, 2560),
    "1B": Shape(2048, 16, 32, 8, 8192),
}
"""`360M` as SmolLM2, `1B` as Llama 3.2 (both without their vocabularies); `tiny` to try it on a CPU."""


def write_widened(folder: Path, shape: Shape, dtype: torch.dtype = torch.bfloat16) -> Path:
    """The bundled policy in this shape, with its tokenizer."""
    small = AutoModelForCausalLM.from_pretrained(policy_folder(), dtype=torch.float32)
    old = small.config
    group = shape.heads // shape.key_heads
    if group * old.num_key_value_heads > shape.heads or shape.hidden < old.hidden_size:
        raise ValueError("the shape is smaller than the bundled policy")
    config = LlamaConfig.from_dict(
        old.to_dict()
        | {
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_heads,
            "intermediate_size": shape.intermediate,
            # The mean square is taken over more dimensions, of which the new ones are 0.
            "rms_norm_eps": old.rms_norm_eps * old.hidden_size / shape.hidden,
            "initializer_range": 0.02,
        }
    )
    torch.manual_seed(0)
    large = LlamaForCausalLM(config)
    with torch.no_grad():
        _fill(large, small, shape, group)
    folder.mkdir(parents=True)
    large.to(dtype).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(policy_folder() / name, folder / name)
    (folder / "meds3.json").write_text(json.dumps({"name": folder.name, "prompt": "plain"}), encoding="utf-8")
    return folder


def _fill(large: LlamaForCausalLM, small: LlamaForCausalLM, shape: Shape, group: int) -> None:
    width, size = small.config.hidden_size, small.config.head_dim
    scale = math.sqrt(width / shape.hidden)
    embedding = large.model.embed_tokens.weight.zero_()
    embedding[:, :width] = small.model.embed_tokens.weight
    large.model.norm.weight.zero_()[:width] = scale * small.model.norm.weight
    for layer in large.model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    for layer, source in zip(large.model.layers, small.model.layers, strict=False):
        for name in ("input_layernorm", "post_attention_layernorm"):
            getattr(layer, name).weight[:width] = scale * getattr(source, name).weight
        attention, given = layer.self_attn, source.self_attn
        for head in range(small.config.num_attention_heads):
            own = slice(head * size, (head + 1) * size)
            query = slice(
                head * group * size, (head * group + 1) * size
            )  # the first of the group that reads key `head`
            attention.q_proj.weight[query, :width] = given.q_proj.weight[own]
            attention.k_proj.weight[own, :width] = given.k_proj.weight[own]
            attention.v_proj.weight[own, :width] = given.v_proj.weight[own]
            attention.o_proj.weight[:width, query] = given.o_proj.weight[:, own]
        neurons = small.config.intermediate_size
        layer.mlp.gate_proj.weight[:neurons, :width] = source.mlp.gate_proj.weight
        layer.mlp.up_proj.weight[:neurons, :width] = source.mlp.up_proj.weight
        layer.mlp.down_proj.weight[:width, :neurons] = source.mlp.down_proj.weight
