"""What must not be compared is refused, with the reason in words."""

import pytest

from meds3core.evaluation.comparability import NotComparable, basis_of, ground_of, pair, refusals
from meds3core.types.question import Gold, Question
from tests.core.evaluation.builders import choice_question, number_question, row_of, sample_set


def basis(questions, prompt="plain@1"):
    return basis_of(sample_set([row_of(q, ("x",)) for q in questions], prompt=prompt).source, questions)


SOME = [number_question(str(i)) for i in range(5)]


def changed(question, **fields):
    return Question(**{**{name: getattr(question, name) for name in Question.model_fields}, **fields})


def test_the_same_questions_are_paired_in_any_order_and_by_content():
    others = [changed(q, id=f"other {q.id}") for q in reversed(SOME)]
    assert pair(basis(SOME), basis(others)).pairs == ((0, 4), (1, 3), (2, 2), (3, 1), (4, 0))


def test_another_version_of_the_prompt_is_refused():
    with pytest.raises(NotComparable, match=r"the prompt differs \(plain@1 .* plain@2"):
        pair(basis(SOME), basis(SOME, prompt="plain@2"))


def test_another_kind_of_prompt_is_noted():
    """A base that needs instructions may be compared with what was trained to need none."""
    found = pair(basis(SOME, prompt="guided@1"), basis(SOME))
    assert found.notes == ("asked with different prompts: guided@1 and plain@1",)


def test_another_number_of_options_is_refused():
    four = [choice_question(str(i), texts=("a", "b", "c", "d")) for i in range(3)]
    five = [choice_question(str(i), texts=("a", "b", "c", "d", "e")) for i in range(3)]
    with pytest.raises(NotComparable, match="toy has 4 options in the first and 5 options in the second"):
        pair(basis(four), basis(five))


def test_with_and_without_passages_is_refused():
    with_passage = [changed(q, has_context=True) for q in SOME]
    without = [changed(q, has_context=False) for q in SOME]
    with pytest.raises(NotComparable, match="toy is asked with its passages in the first and without its passages"):
        pair(basis(with_passage), basis(without))
    with pytest.raises(NotComparable, match="partly with its passages"):
        pair(basis(with_passage), basis([*with_passage[:2], *without[2:]]))
    assert pair(basis(with_passage), basis(SOME)).pairs  # unknown is not a contradiction


def test_other_questions_are_refused_unless_the_shared_ones_are_asked_for():
    more = [*SOME[2:], number_question("new")]
    with pytest.raises(NotComparable, match="2 only in the first, 1 only in the second, 3 shared"):
        pair(basis(SOME), basis(more))
    found = pair(basis(SOME), basis(more), shared=True)
    assert found.pairs == ((2, 0), (3, 1), (4, 2))
    assert "only the 3 shared questions are compared" in found.notes[0]
    with pytest.raises(NotComparable, match="share no question"):
        pair(basis(SOME), basis([number_question("new")]), shared=True)


def test_the_same_ids_with_other_texts_are_other_questions():
    edited = [changed(q, text=q.text + " Please.") for q in SOME]
    with pytest.raises(NotComparable, match="share no question"):
        pair(basis(SOME), basis(edited))


def test_another_gold_answer_is_refused():
    corrected = [changed(SOME[0], gold=Gold(value="5")), *SOME[1:]]
    with pytest.raises(NotComparable, match="1 questions have another gold answer"):
        pair(basis(SOME), basis(corrected))


def test_a_question_that_stands_twice_is_matched_twice():
    """The published MMLU-Med file holds 78 questions twice."""
    twice = [SOME[0], changed(SOME[0], id="again"), SOME[1]]
    assert pair(basis(twice), basis(twice)).pairs == ((0, 0), (1, 1), (2, 2))
    with pytest.raises(NotComparable, match="1 only in the first"):
        pair(basis(twice), basis([SOME[0], SOME[1]]))


def test_what_is_refused_is_refused_without_the_questions_too():
    four = [choice_question(str(i), texts=("a", "b", "c", "d")) for i in range(3)]
    five = [choice_question(str(i), texts=("a", "b", "c", "d", "e")) for i in range(3)]
    sides = [
        basis(SOME),
        basis(SOME[::-1]),
        basis(SOME[:3]),
        basis(SOME, prompt="plain@2"),
        basis(SOME, prompt="guided@1"),
        basis([changed(q, has_context=True) for q in SOME]),
        basis([changed(q, has_context=False) for q in SOME]),
        basis([changed(SOME[0], gold=Gold(value="5")), *SOME[1:]]),
        basis(four),
        basis(five),
    ]
    for first in sides:
        for second in sides:
            try:
                pair(first, second)
                refused = ()
            except NotComparable as error:
                refused = error.reasons
            short = refusals(ground_of(first), ground_of(second))
            assert bool(short) == bool(refused), (short, refused)
            assert {each for each in short if "prompt" in each or "passages" in each or "options" in each} == {
                each for each in refused if "prompt" in each or "passages" in each or "options" in each
            }
