import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from meds3core.engines.stopping import StopIndex, first_stop, shown_length, token_texts
from tests.core.engines.tiny import write_tokenizer

STOPS = ("\n\nStep ", "é", " mg", "StepStep", "dose is The")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return loaded


def test_first_stop_is_the_earliest() -> None:
    assert first_stop("a b c", ("c", " b")) == 1
    assert first_stop("abc", ("x",)) is None


@pytest.mark.parametrize(
    ("text", "stops", "shown"),
    [
        ("abc", (), "abc"),
        ("abc\n", ("\n\nStep ",), "abc"),
        ("abc\n\nSte", ("\n\nStep ",), "abc"),
        ("abc\n\nStx", ("\n\nStep ",), "abc\n\nStx"),
        ("ab\N{REPLACEMENT CHARACTER}", (), "ab"),
        ("ab-\N{REPLACEMENT CHARACTER}", ("-+",), "ab"),
        ("aab", ("ab!", "b?"), "a"),
    ],
)
def test_text_that_may_begin_a_stop_string_is_held_back(text: str, stops: tuple[str, ...], shown: str) -> None:
    assert text[: shown_length(text, stops)] == shown


def test_token_texts_are_what_a_token_adds(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = token_texts(tokenizer, len(tokenizer) + 3)
    assert len(texts) == len(tokenizer) + 3
    assert texts[1] == "" == texts[-1]
    assert texts[tokenizer.convert_tokens_to_ids("ĠStep")] == " Step"


@given(st.data())
def test_the_index_never_misses_a_stop_string(tokenizer: PreTrainedTokenizerBase, data: st.DataObject) -> None:
    pieces = st.sampled_from(
        ["\n\n", "\n", " Step", "Step", " ", "S", "tep", " mg", "m", "g", "é", " dose", " is", " The"]
    )
    text = "".join(data.draw(st.lists(pieces, max_size=12)))
    cut = data.draw(st.integers(0, len(text)))
    # Cut into two encodings, so that tokens meet as they would not in one.
    ids = tokenizer.encode(text[:cut]) + tokenizer.encode(text[cut:])
    index = StopIndex(token_texts(tokenizer, len(tokenizer)), STOPS)
    previous = -1
    for count, token in enumerate(ids, start=1):
        if first_stop(tokenizer.decode(ids[:count]), STOPS) is not None:
            assert index.may_complete(np.array([previous]), np.array([token]))[0]
            return
        previous = token


def test_the_index_is_rarely_wrong(tokenizer: PreTrainedTokenizerBase) -> None:
    index = StopIndex(token_texts(tokenizer, len(tokenizer)), ("\n\nStep ",))
    whole = np.array(tokenizer.encode(" The dose is 12 mg. The answer is 5."))
    assert not index.may_complete(whole[:-1], whole[1:]).any()
