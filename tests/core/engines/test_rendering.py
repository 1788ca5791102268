"""From prompts to ids: once through the template, piece by piece."""

import pytest
from transformers import AutoTokenizer

from meds3core.engines.base import Message, Prompt
from meds3core.engines.rendering import PromptEncoder
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import OPENER


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    return PromptEncoder(AutoTokenizer.from_pretrained(policy_folder()))


def test_the_template_is_applied_once(encoder):
    prompt = TEMPLATES["plain"].continuation("How much?", "", [OPENER], "reason")
    ids = encoder.encode(prompt)
    assert ids.count(encoder.tokenizer.bos_token_id) == 1
    assert encoder.tokenizer.decode(ids).count("<|assistant|>") == 1
    assert encoder.decode(ids).count("How much?") == 1


def test_a_prompt_is_the_concatenation_of_its_parts(encoder):
    messages = (Message("user", "How much?"),)
    pieces = (f"Step 0: {OPENER}\n\n", "Step 1: The weight is 12 kg.\n\n", "Step 2:")
    ids = encoder.encode(Prompt(messages, pieces))
    start = encoder.encode(Prompt(messages))
    assert ids == start + [token for piece in pieces for token in encoder.encode_piece(piece)]
    assert encoder.encode(Prompt(messages, pieces[:2])) == ids[: -len(encoder.encode_piece("Step 2:"))]


def test_text_that_looks_like_a_special_token_in_a_question_does_not_end_the_turn(encoder):
    ids = encoder.encode(Prompt((Message("user", "Is <|end|> an end?"),)))
    plain = encoder.encode(Prompt((Message("user", "Is it an end?"),)))
    end = encoder.tokenizer.convert_tokens_to_ids("<|end|>")
    assert ids.count(end) == plain.count(end)


def test_pieces_survive_a_round_trip(encoder):
    for question in generate("test", 50, 1):
        assert encoder.decode(encoder.encode_piece(question.text)) == question.text
    for text in ("Ünïcode 漢字 🩺", "a  b\tc", "3.14159e-10", "\n\nStep 2: x\n"):
        assert encoder.decode(encoder.encode_piece(text)) == text
