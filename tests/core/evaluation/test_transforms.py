"""Changed questions keep a right gold, change their hash, and are the same every time."""

import pytest

from meds3core.config.evaluation import ProbeConfig
from meds3core.evaluation.key_facts import BLANK
from meds3core.evaluation.robustness import said, transform_figures, transformed
from meds3core.evaluation.transforms import DISTRACTORS, OTHER_LETTERS, TRANSFORMS
from meds3core.sandbox.questions import NotAClinicQuestion, case_of, generate
from meds3core.types.question import ChoiceFormat, Gold, Option, Question
from meds3core.verify.judge import judge
from tests.core.evaluation.builders import choice_question, number_question, row_of

CLINIC = generate("test", 270)
CHOICES = [q for q in CLINIC if isinstance(q.answer_format, ChoiceFormat)]


def changed(name, questions, seed=0):
    pairs = [(question, TRANSFORMS[name](question, seed)) for question in questions]
    return [(question, after) for question, after in pairs if after is not None]


def test_shuffled_options_move_the_gold_and_stay_clinic_questions():
    pairs = changed("shuffled-options", CLINIC)
    assert len(pairs) == len(CHOICES) > 20
    for before, after in pairs:
        assert after.gold.value != before.gold.value
        assert after.answer_format.text_of(after.gold.value) == before.answer_format.text_of(before.gold.value)
        assert case_of(after).gold == after.gold.value  # solved anew from the changed text


def test_renamed_letters_keep_the_order():
    pairs = changed("renamed-letters", CLINIC)
    assert len(pairs) == len(CHOICES)
    for before, after in pairs:
        assert [o.text for o in after.answer_format.options] == [o.text for o in before.answer_format.options]
        assert after.gold.value in OTHER_LETTERS[:3]
        assert f"\n{after.gold.value}. " in after.text and "\nA. " not in after.text
        assert judge(f"Step 1: The answer is {after.gold.value}.", after).correct is True


def test_a_distractor_stands_before_the_asking():
    for before, after in changed("distractor", CLINIC):
        sentence = next(each for each in DISTRACTORS if each in after.text)
        assert after.text.replace(f"{sentence} ", "") == before.text
        assert after.gold == before.gold
        stem = after.text.split("\nA. ")[0]
        assert stem.endswith(("?", ".")) and not stem.endswith(sentence)


def test_a_missing_fact_is_one_that_the_answer_hangs_on():
    pairs = changed("missing-fact", CLINIC)
    assert len(pairs) > 0.85 * len(CLINIC)
    for before, after in pairs:
        assert after.text.count(BLANK) == 1 and after.gold == before.gold
        with pytest.raises(NotAClinicQuestion):
            case_of(after)
        start = after.text.index(BLANK)
        gone = before.text[start : start + len(before.text) - len(after.text) + len(BLANK)]
        assert gone and gone not in ("child", "girl", "boy", "patient")


def test_a_fact_without_consequence_is_never_the_missing_one():
    """CURB-65 3 at age 80 stays in intensive care whatever the age: other facts may count, this alone cannot."""
    for question in (q for q in CLINIC if q.domain == "contraindication"):
        after = TRANSFORMS["missing-fact"](question, 0)
        assert after is None or ("years" in after.text and f"{BLANK} years" not in after.text)


def test_missing_fact_elsewhere_is_the_sentence_with_most_numbers():
    question = number_question("q")
    text = "A man of 40 has pain. His pulse is 110 and his pressure 90/60. He smokes. What is the shock index?"
    other = Question(**{**dict(question), "text": text})
    after = TRANSFORMS["missing-fact"](other, 0)
    assert after.text == "A man of 40 has pain. He smokes. What is the shock index?"
    assert TRANSFORMS["missing-fact"](question, 0) is None  # a single sentence asks and cannot go


@pytest.mark.parametrize(
    "texts", [("stop", "go", "both of these"), ("stop", "go", "A and B"), ("x", "All of the above", "y")]
)
def test_options_that_speak_of_each_other_are_left_alone(texts):
    question = choice_question(texts=texts)
    assert TRANSFORMS["shuffled-options"](question, 0) is None
    assert TRANSFORMS["renamed-letters"](question, 0) is None


@pytest.mark.parametrize("style", ["({0}) {1}", "{0}) {1}", "**{0}.** {1}", "- {0}: {1}", "{0}. {1} "])
def test_option_lines_keep_their_style(style):
    options = tuple(
        Option(letter=letter, text=text) for letter, text in zip("ABC", ("stop it", "go", "wait"), strict=True)
    )
    text = "What now?\n" + "\n".join(style.format(option.letter, option.text) for option in options) + "\nChoose one."
    question = Question(id="q", text=text, answer_format=ChoiceFormat(options=options), gold=Gold(value="C"))
    after = TRANSFORMS["shuffled-options"](question, 0)
    expected = "\n".join(style.format(option.letter, option.text) for option in after.answer_format.options)
    assert after.text == f"What now?\n{expected}\nChoose one."


def test_options_that_are_not_in_the_text_cannot_be_moved():
    question = choice_question()
    bare = Question(**{**dict(question), "text": "What now? Stop, go or wait?"})
    assert TRANSFORMS["shuffled-options"](bare, 0) is None


def test_transforms_are_functions_of_question_and_seed():
    for name, transform in TRANSFORMS.items():
        first = [transform(question, 0) for question in CLINIC[:60]]
        assert first == [transform(question, 0) for question in CLINIC[:60]]
        for before, after in zip(CLINIC, first, strict=False):
            assert after is None or (after.content_hash != before.content_hash and after.id == before.id), name
    assert [TRANSFORMS["distractor"](q, 1) for q in CLINIC[:60]] != [
        TRANSFORMS["distractor"](q, 0) for q in CLINIC[:60]
    ]


def test_transformed_counts_what_does_not_apply():
    found = transformed(CLINIC, ProbeConfig(questions=90, transforms=("shuffled-options", "distractor")))
    shuffled, left_out = found["shuffled-options"]
    assert len(shuffled) + left_out == 90 and left_out > 60
    assert len(found["distractor"][0]) == 90 and found["distractor"][1] == 0


def test_figures_compare_the_same_questions_by_meaning():
    """Three questions. The policy always says B: right at first, then the gold has moved away."""
    before = [row_of(choice_question(str(i)), ("The answer is B.",)) for i in range(3)]
    after = [row_of(TRANSFORMS["shuffled-options"](row.question, 0), ("The answer is B.",)) for row in before[:2]]
    found = transform_figures("shuffled-options", before, after, 1)
    assert (found.questions, found.not_applicable) == (2, 1)
    assert (found.original.value, found.changed.value) == (1.0, 0.0)
    assert found.same_answer.value == 0.0  # the letter is the same, the meaning is not
    assert found.mcnemar.only_first == 2
    follows = [row_of(row.question, (f"The answer is {row.question.gold.value}.",)) for row in after]
    assert transform_figures("shuffled-options", before, follows).same_answer.value == 1.0
    assert transform_figures("shuffled-options", before, []) is None
    assert said(before[0].question, before[0].samples[0]) == "go"
