"""The tiny policy's tokenizer: whole words and whole small numbers, bytes for everything else.

Decoding gives every text back. Integers up to `LARGEST` are one token, with or without a leading space: copying and
computing with numbers is what a tiny model learns slowest. Larger ones are spelt digit by digit. A step's pieces can be
tokenised one by one: no token reaches over `Step 3:` or over the blank line that closes a step.
"""

from collections.abc import Iterable
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from meds3core.sandbox.clinic import FAMILIES, draw
from meds3core.sandbox.forms import Level
from meds3core.sandbox.writing import write
from meds3core.text.steps import render_trajectory

CONTEXT = 4096
LARGEST = 299
BOS, EOS, PAD, END = "<|bos|>", "<|eos|>", "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (PAD, BOS, EOS, END, *ROLES)

# A number up to 299 as a whole, unless it is the tail of a longer one; else digit by digit.
_NUMBER = r"(?: |(?<![0-9]))(?:[12][0-9][0-9]|[1-9][0-9]|[0-9])(?![0-9])| ?[0-9]"
_SPLIT = rf"{_NUMBER}| ?\p{{L}}+| ?[^\s\p{{L}}0-9]|\n\n|\s"

# An assistant's turn ends with the end-of-sequence token, the others' with their own.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}"
    "{% elif message['role'] in ['system', 'user'] %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% else %}{{ raise_exception('unknown role: ' + message['role']) }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

OTHER_WORDS = (
    "But wait, let me check. So therefore the correct option is. D. E. yes no maybe not and or with of a an The In "
    "Reason Finish Reflect"
)


def build(samples_per_level: int = 1500) -> PreTrainedTokenizerFast:
    """Make the tokenizer. Its words are those of the clinic's questions and reasoning, in alphabetical order."""
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = [f"{space}{value}" for space in ("", "Ġ") for value in range(LARGEST + 1)]
    words = sorted(
        {piece for text in _texts(samples_per_level) for piece, _ in splitter.pre_tokenize_str(text)}
        - set(alphabet)
        - set(numbers)
    )
    names = dict.fromkeys([*SPECIAL, *alphabet, *numbers, *(word for word in words if not _is_number(word))])
    tokenizer = Tokenizer(BPE(vocab={name: i for i, name in enumerate(names)}, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[END, *ROLES],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _is_number(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _texts(samples_per_level: int) -> Iterable[str]:
    rng = Random("tokenizer")
    yield OTHER_WORDS
    for family in FAMILIES.values():
        for level in Level:
            for _ in range(samples_per_level):
                case = draw(family, level, "train", rng)
                yield case.text
                yield render_trajectory(write(case, rng).bodies)
