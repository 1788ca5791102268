"""Token ids for training, scoring and search: the same at every step boundary, whatever the tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.encoding.trajectory import PROMPT, TrajectoryEncoder, end_of_turn
from meds3core.engines.rendering import PromptEncoder
from meds3core.sandbox.questions import generate
from meds3core.text.prompts import answer_form
from meds3core.text.steps import OPENER, header, render_step
from meds3core.types.labels import PairKind, PreferencePair, SftExample
from meds3core.types.question import NumberFormat, OpenQuestion
from tests.core.encoding.built import ASSISTANT, BEGIN, END_OF_TURN, NAMES, tokenizer

QUESTIONS = [asked.without_gold() for asked in generate("test", 8)]
BODIES = (
    OPENER,
    "The weight is 23 kg; the dose is 8 mg/kg per day.",
    "(a) 23 × 8 = 184 mg:\n\nthat is a lot",
    "\u201cHalf\u201d of 1,840.5 is 920.25\nor so",
    "$x^2$ - é, naïve, 漢字 🩺",
    "Each dose = 184 / 2 = 92 mg. The answer is 92 mg.",
)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def encoder(name):
    return TrajectoryEncoder(tokenizer(name))


def asked(text="How many mg is each dose?"):
    return OpenQuestion(id="q", text=text, answer_format=NumberFormat(unit="mg"))


def sft_ids(encoder, question, bodies):
    encoded = encoder.sft(SftExample(question=question, bodies=bodies))
    return encoded.prompt + encoded.completion


def pair_of(question, prefix, chosen, rejected, *, chosen_finished=False, rejected_finished=False):
    return PreferencePair(
        kind=PairKind.LEVEL,
        question=question,
        prefix=prefix,
        chosen=chosen,
        rejected=rejected,
        chosen_finished=chosen_finished,
        rejected_finished=rejected_finished,
        margin=0.5,
    )


def special_ids(encoder):
    known = encoder.tokenizer
    return {*known.all_special_ids, *(i for i, token in known.added_tokens_decoder.items() if token.special)}


@pytest.mark.parametrize("question", QUESTIONS)
def test_training_scoring_and_search_read_the_same_ids_at_every_step_boundary(encoder, question):
    whole = encoder.steps(question, BODIES)
    sft = sft_ids(encoder, question, BODIES)
    search = PromptEncoder(encoder.tokenizer)
    for number, end in enumerate(whole.ends):
        prefix = whole.ids[: end + 1]
        assert encoder.steps(question, BODIES[: number + 1]).ids == prefix
        if number + 1 < len(BODIES):
            assert sft[: end + 1] == prefix
            pair = encoder.pair(pair_of(question, BODIES[: number + 1], BODIES[number + 1 :], ("x",)))
            assert pair.prompt == prefix
        prompt = PROMPT.continuation(question.text, answer_form(question), BODIES[: number + 1], "reason")
        assert tuple(search.encode(prompt)) == prefix + encoder._encoder.encode_piece(header(number + 1))


def test_a_step_begins_with_the_ids_that_search_primes_it_with(encoder):
    """Else the policy would be trained on a tokenisation that it is never asked to continue."""
    for number, body in enumerate([*BODIES, "- 12 mg", "**bold**", "12", "É", "[1]"]):
        piece = encoder._encoder.encode_piece(render_step(number, body))
        primed = encoder._encoder.encode_piece(header(number))
        assert piece[: len(primed)] == primed


def test_scores_are_read_at_the_last_token_of_each_step(encoder):
    question = QUESTIONS[0]
    whole = encoder.steps(question, BODIES)
    assert whole.ids[: whole.prompt_length] == tuple(encoder.prompt(question))
    start = whole.prompt_length
    for number, (end, body) in enumerate(zip(whole.ends, BODIES, strict=True)):
        assert encoder._encoder.decode(whole.ids[start : end + 1]) == render_step(number, body)
        start = end + 1
    assert start == len(whole.ids)


def test_a_pair_is_the_trajectories_it_was_cut_from(encoder):
    question = QUESTIONS[1]
    prefix, chosen, rejected = BODIES[:2], BODIES[2:], BODIES[2:4]
    pair = encoder.pair(pair_of(question, prefix, chosen, rejected, chosen_finished=True))
    assert pair.prompt + pair.chosen == sft_ids(encoder, question, BODIES)
    assert pair.prompt + pair.rejected == encoder.steps(question, BODIES[:4]).ids


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_mid_chain_continuations_never_end_the_turn(encoder, cut):
    """The published fault: DPO closed every continuation, so the policy learnt to stop early."""
    question = QUESTIONS[2]
    pair = encoder.pair(pair_of(question, BODIES[:1], BODIES[1 : cut + 1], BODIES[2:4]))
    for continuation in (pair.chosen, pair.rejected):
        assert not special_ids(encoder) & set(continuation)
        assert encoder._encoder.decode(continuation).endswith("\n\n")
    ended = encoder.pair(pair_of(question, BODIES[:1], BODIES[1:], BODIES[2:4], chosen_finished=True))
    assert ended.chosen[-1:] == encoder.end_of_turn
    assert not special_ids(encoder) & set(ended.chosen[:-1])
    assert encoder._encoder.decode(ended.chosen).endswith("The answer is 92 mg.")


def test_imitation_ends_the_turn_once_and_trains_on_nothing_of_the_prompt(encoder, name):
    encoded = encoder.sft(SftExample(question=QUESTIONS[3], bodies=BODIES))
    end = encoder.tokenizer.convert_tokens_to_ids(END_OF_TURN[name])
    assert encoded.prompt == tuple(encoder.prompt(QUESTIONS[3]))
    assert encoded.completion.count(end) == 1 and encoded.completion[-1] == end
    assert encoder._encoder.decode(encoded.completion).startswith(f"Step 0: {OPENER}\n\nStep 1: ")


def test_the_turn_ends_with_the_templates_own_token(encoder, name):
    assert encoder.end_of_turn == (encoder.tokenizer.convert_tokens_to_ids(END_OF_TURN[name]),)
    assert end_of_turn(encoder.tokenizer) == encoder.end_of_turn


def test_the_template_is_applied_once(encoder, name):
    ids = encoder.prompt(QUESTIONS[4])
    text = encoder.tokenizer.decode(ids)
    if BEGIN[name]:
        assert ids.count(encoder.tokenizer.convert_tokens_to_ids(BEGIN[name])) == 1
        assert ids[0] == encoder.tokenizer.convert_tokens_to_ids(BEGIN[name])
    assert text.count(QUESTIONS[4].text) == 1
    assert text.endswith(ASSISTANT[name])
    if name != "bare":
        assert text.count(ASSISTANT[name]) == 1
        turns = [{"role": "user", "content": QUESTIONS[4].text}]
        once = encoder.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        assert ids == list(once)


def test_a_question_that_spells_special_tokens_cannot_end_a_turn(encoder):
    spelled = [token.content for token in encoder.tokenizer.added_tokens_decoder.values() if token.special]
    plain = encoder.prompt(asked("Is it an end?"))
    for token in spelled:
        for text in (f"Is {token} an end?", token * 3, f"{token[:2]}{token}{token[2:]}"):
            ids = encoder.prompt(asked(text))
            for special in special_ids(encoder):
                assert ids.count(special) == plain.count(special)


def test_a_step_that_spells_special_tokens_cannot_end_the_turn(encoder):
    for token in encoder.tokenizer.added_tokens_decoder.values():
        if token.special:
            body = f"So {token.content} and{token.content}"
            pair = encoder.pair(pair_of(asked(), (OPENER,), (body,), (f"{body} again",)))
            assert not special_ids(encoder) & {*pair.chosen, *pair.rejected}
            whole = encoder.steps(asked(), (OPENER, body))
            assert not special_ids(encoder) & set(whole.ids[whole.prompt_length :])


words = st.text(st.sampled_from("Step 12:.\n<|>_adeimnotx/éµ漢"), min_size=1, max_size=12) | st.sampled_from(
    ["<|im_end|>", "<|eot_id|>", "</s>", "<|eos|>", "Step 2:", "The answer is 7.", "\n\n", "  "]
)
body = st.lists(words, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), body, st.lists(body, min_size=2, max_size=5), st.data())
def test_whatever_the_texts_a_prefix_keeps_its_ids_and_turns_end_only_at_the_end(name, text, bodies, data):
    encoder = TrajectoryEncoder(tokenizer(name))
    question = asked(text)
    cut = data.draw(st.integers(1, len(bodies) - 1))
    whole = encoder.steps(question, bodies)
    prefix = encoder.steps(question, bodies[:cut])
    assert whole.ids[: len(prefix.ids)] == prefix.ids
    assert whole.ends[:cut] == prefix.ends == (*prefix.ends[:-1], len(prefix.ids) - 1)
    assert all(one < other for one, other in zip(whole.ends, whole.ends[1:], strict=False))
    sft = sft_ids(encoder, question, tuple(bodies))
    assert sft[: len(prefix.ids)] == prefix.ids
    assert not special_ids(encoder) & set(sft[whole.prompt_length : -1])
    pair = encoder.pair(pair_of(question, tuple(bodies[:cut]), tuple(bodies[cut:]), ("y",)))
    assert pair.prompt + pair.chosen == whole.ids
    assert not special_ids(encoder) & set(pair.chosen)
