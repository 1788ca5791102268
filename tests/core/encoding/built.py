"""Tokenizers of the families that policies come in, built here because no hub need be reachable.

The pipelines (normaliser, splitting, byte-level pairs, special tokens, what is added around a text) are those of
Llama 3 and Qwen 2; the vocabularies are small and learnt from clinic texts. The templates are ours, in their forms.
"""

from functools import cache
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate

NAMES = ("llama3", "qwen2", "bare", "bundled")
"""`bare`: a base model without a chat template, whose tokenizer adds a BOS."""

END_OF_TURN = {"llama3": "<|eot_id|>", "qwen2": "<|im_end|>", "bare": "</s>", "bundled": "<|eos|>"}
BEGIN = {"llama3": "<|begin_of_text|>", "qwen2": None, "bare": "<s>", "bundled": "<|bos|>"}
ASSISTANT = {
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "qwen2": "<|im_start|>assistant\n",
    "bare": "\n\n",
    "bundled": "<|assistant|>",
}
"""What stands right before the policy's own words."""

_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLIT = {
    "llama3": _LETTERS + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _REST,
    "qwen2": _LETTERS + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" + _REST,
    "bare": _LETTERS + r"|\p{N}+| ?[^\s\p{L}\p{N}]+" + _REST,
}
_SPECIAL = {
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "bare": ["<s>", "</s>"],
}
_TEMPLATE = {
    "llama3": (
        "{{ bos_token }}{% for m in messages %}"
        "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "qwen2": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are of help.<|im_end|>\n{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "bare": None,
}


@cache
def tokenizer(name: str) -> Any:
    """One of `NAMES`."""
    if name == "bundled":
        return AutoTokenizer.from_pretrained(policy_folder())
    pairs = Tokenizer(models.BPE())
    if name == "qwen2":
        pairs.normalizer = normalizers.NFC()
    pairs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT[name]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    pairs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=_SPECIAL[name],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [question.text for question in generate("train", 300)]
    steps = "Step {}: The dose is {} mg.\n\nStep 2: So it is (a) {}.\n\nThe answer is C.\n\n"
    texts += [steps.format(number % 9, number, 3 * number) for number in range(300)]
    pairs.train_from_iterator(texts, trainer)
    special = _SPECIAL[name]
    if BEGIN[name]:  # a text encoded with special tokens gets a BOS: a template that writes one would double it
        pairs.post_processor = processors.TemplateProcessing(
            single=f"{special[0]} $A", special_tokens=[(special[0], pairs.token_to_id(special[0]))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=pairs,
        bos_token=BEGIN[name],
        eos_token=special[1] if name != "qwen2" else "<|im_end|>",
        pad_token=special[0],
        additional_special_tokens=special[2:],
        chat_template=_TEMPLATE[name],
    )
