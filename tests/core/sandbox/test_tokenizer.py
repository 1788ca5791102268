"""The tokenizer loses nothing, keeps small numbers whole, and cuts at the borders of pieces."""

from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from meds3core.sandbox.demonstrations import demonstrations
from meds3core.sandbox.questions import case_of, generate
from meds3core.sandbox.tokenizer import build
from meds3core.sandbox.writing import write
from meds3core.text.steps import header, render_step, render_trajectory


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Built and saved as the training script does it, loaded as engines do it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    build(samples_per_level=40).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


@settings(max_examples=400, deadline=None)
@given(st.text() | st.text(alphabet="Step 0123456789:.\n\t <|>ad×é🙂"))
@example("  \r\n\n\n\t ")
@example("<|user|><|eos|>")
@example("0 00 007 299 300 2999 1.05 -3")
@example("\ufeff\u200b\x00")
@example("e\u0301 \u0130 \u1e9e")
def test_no_text_is_changed(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


@pytest.mark.parametrize("lead", ["", " ", "(", "× "])
def test_integers_up_to_299_are_one_token_and_larger_ones_are_digits(tokenizer, lead):
    before = len(ids(tokenizer, lead.rstrip(" ")))
    for value in (0, 7, 10, 99, 100, 299):
        assert len(ids(tokenizer, f"{lead}{value}")) == before + 1
    for value in (300, 1000, 2995, 12345):
        assert len(ids(tokenizer, f"{lead}{value}")) == before + len(str(value))


def test_a_decimal_is_its_parts(tokenizer):
    assert tokenizer.convert_ids_to_tokens(ids(tokenizer, " 12.25")) == ["Ġ12", ".", "25"]


def test_pieces_of_steps_are_tokenised_alone_as_together(tokenizer):
    for question in generate("test", 90, seed=0):
        bodies = write(case_of(question)).bodies
        pieces = [render_step(number, body) for number, body in enumerate(bodies)]
        whole = ids(tokenizer, "".join(pieces))
        assert whole == [token for piece in pieces for token in ids(tokenizer, piece)]
        primed = [
            part
            for number, body in enumerate(bodies)
            for text in (header(number), f" {body}", "\n\n")
            for part in ids(tokenizer, text)
        ]
        assert whole == primed


def test_the_template_renders_turns(tokenizer):
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert (
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        == "<|bos|><|system|>s<|end|><|user|>u<|end|><|assistant|>"
    )
    chat.append({"role": "assistant", "content": "a"})
    assert tokenizer.apply_chat_template(chat, tokenize=False).endswith("<|assistant|>a<|eos|>")
    marked = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True, tokenize=True)
    assert sum(marked["assistant_masks"]) == 2
    with pytest.raises(Exception, match="unknown role"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_demonstrations_are_the_template_and_the_pieces(tokenizer):
    for item in islice(demonstrations(tokenizer, seed=0), 40):
        start = item.taught.index(True)
        assert all(item.taught[start:]) and item.ids[-1] == tokenizer.eos_token_id
        text = tokenizer.decode(item.ids[:start])
        question = text.removeprefix("<|bos|><|user|>").removesuffix("<|end|><|assistant|>")
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        assert text == rendered
        assert tokenizer.decode(item.ids[start:-1]).startswith(render_trajectory(["Let's break"]))


def test_drills_teach_results_alone(tokenizer):
    item = next(demonstrations(tokenizer, seed=0, drills=1.0))
    results = tokenizer.decode([token for token, taught in zip(item.ids, item.taught, strict=True) if taught])
    assert set(results) <= set("0123456789. ")
