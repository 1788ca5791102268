"""METHOD.md §6: no wrong option is taken for the right one, no right one missed, in all phrasings."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.types.question import ChoiceFormat, Question
from meds3core.verify.judge import judge, verifier_for
from meds3core.verify.options import prepare
from tests.core.verify import questions as q
from tests.core.verify.phrasings import NO_ANSWER, STATED, WHOLE, fill


def faults(question: Question) -> Iterator[tuple[str, str, str | None]]:
    """Every phrasing of every option that is read wrongly: text, expected and found answer."""
    form = question.answer_format
    assert isinstance(form, ChoiceFormat)
    verifier = verifier_for(question)
    canonical = prepare(form.options)
    shared = Counter(canonical.own.values())
    for index, option in enumerate(form.options):
        other = form.options[(index + 1) % len(form.options)]
        unclear = shared[canonical.own[option.letter]] > 1
        for phrasing in STATED:
            if unclear and "{x" not in phrasing:
                continue
            text = fill(phrasing, option.letter, option.text, other.letter, other.text)
            for found in (verifier.stated_answer(text, question), verifier.extract_answer(text, question)):
                if found != option.letter:
                    yield text, option.letter, found
        for phrasing in WHOLE:
            if unclear and "{x" not in phrasing:
                continue
            if "{tu" in phrasing and option.text.upper().lower() != option.text.lower():
                continue  # β, µ and ß do not survive upper case
            text = fill(phrasing, option.letter, option.text, other.letter, other.text)
            found = verifier.extract_answer(text, question)
            if found != option.letter:
                yield text, option.letter, found
        for phrasing in NO_ANSWER:
            text = fill(phrasing, option.letter, option.text, other.letter, other.text)
            for found in (verifier.stated_answer(text, question), verifier.extract_answer(text, question)):
                if found is not None:
                    yield text, None, found


def test_options_of_medqa_in_every_phrasing() -> None:
    found = [fault for question in q.published("MedQA.json")[4::10] for fault in faults(question)]
    assert not found, (len(found), found[:5])


@pytest.mark.parametrize("name", ["pubhealth.json", "bioasq.json", "pubmedqa.json"])
def test_options_of_other_published_files(name: str) -> None:
    found = [fault for question in q.published(name)[:3] for fault in faults(question)]
    assert not found, (len(found), found[:5])


@pytest.mark.parametrize("question", q.TRICKY)
def test_tricky_options_in_every_phrasing(question: Question) -> None:
    found = list(faults(question))
    assert not found, (len(found), found[:5])


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (q.MEDICINES, "The answer is a beta blocker.", "A"),
        (q.MEDICINES, "The answer is an alpha blocker.", "D"),
        (q.MEDICINES, "The answer is hepatitis B.", "C"),
        (q.MEDICINES, "The answer is vitamin C.", "B"),
        (q.MEDICINES, "The answer is aspirin.", "E"),
        (q.MEDICINES, "The answer is aspirin and clopidogrel.", "F"),
        (q.MEDICINES, "The answer is aspirin and heparin.", None),
        (q.MEDICINES, "The answer is a gamma blocker.", None),
        (q.MEDICINES, "A gamma blocker", None),
        (q.MEDICINES, "A 45-year-old man has aspirin toxicity.", None),
        (q.MEDICINES, "Hepatitis B is correct.", "C"),
        (q.MEDICINES, "Hepatitis C is correct.", None),
        (q.MEDICINES, "The answer is A beta-lactam.", None),
        (q.MEDICINES, "the answer is a", "A"),
        (q.MEDICINES, "The answer is B?", None),
        (q.MEDICINES, "The answer is B. it is good", "B"),
        (q.MEDICINES, "My first answer was B.", None),
        (q.MEDICINES, "We don't think the answer is B.", None),
        (q.MEDICINES, "The answer cannot be B.", None),
        (q.MEDICINES, "The answer is not only B but also C.", None),
        (q.MEDICINES, "The answer is D, a drug that lowers pressure.", "D"),
        (q.MEDICINES, "The answer is B if the patient is pregnant.", None),
        (q.MEDICINES, "The correct answer is B: Hepatitis B.", None),
        (q.MEDICINES, "The answer is B. Aspirin is wrong since it is no vitamin.", "B"),
        (q.MEDICINES, "The answer is $\\boxed{\\textbf{(C)}\\ \\text{Hepatitis B}}$", "C"),
        (q.MEDICINES, "Final Answer: The final answer is $\\boxed{D}$. I hope it is correct.", "D"),
        (q.MEDICINES, "Option A is incorrect. Option B is incorrect. Option C is correct.", "C"),
        (q.MEDICINES, "B, C and D are wrong.", None),
        (q.MEDICINES, "The answer is\r\n\r\nB", "B"),
        (q.MEDICINES, "The answer is \u2018B\u2019.", "B"),
        (q.GERMS, "The answer is E. coli.", "B"),
        (q.GERMS, "E. coli", "B"),
        (q.GERMS, "The answer is E. coli infection.", None),
        (q.GERMS, "The answer is C. diphtheriae.", None),
        (q.GERMS, "E. faecalis is a gram-positive coccus.", None),
        (q.GERMS, "The answer is group A.", None),
        (q.LETTERS, "C", "C"),
        (q.LETTERS, "The answer is B12.", "B"),
        (q.LETTERS, "The answer is B12 deficiency.", None),
        (q.COMBINED, "The answer is A and C.", "B"),
        (q.COMBINED, "The answer is B and C.", None),
        (q.COMBINED, "The answer is none of the above.", "E"),
        (q.FIGURES, "The answer is 5%.", "A"),
        (q.FIGURES, "The answer is 15%.", "B"),
        (q.FIGURES, "The answer is 10\u201320.", "E"),
        (q.FIGURES, "The answer is 10.5.", None),
        (q.FIGURES, "The answer is 1.", None),
        (q.YES_NO, "Yes, losartan can.", "A"),
        (q.YES_NO, "The answer is no one knows.", None),
        (q.YES_NO, "yes or no", None),
        (q.FACTS, "The answer is false.", "B"),
        (q.ARTICLES, "A decrease in preload", "B"),
        (q.ARTICLES, "A decrease in afterload", None),
    ],
)
def test_cases(question: Question, text: str, answer: str | None) -> None:
    assert verifier_for(question).extract_answer(text, question) == answer


def test_a_substring_is_no_answer() -> None:
    """The published evaluator took "X. text" of a wrong option for right, since letters occur in any text."""
    question = q.choice("Captopril", "Cabergoline", "Amiodarone", gold="C")
    assert judge("The answer is A. Captopril", question).correct is False
    assert judge("The answer is B. Cabergoline", question).correct is False
    assert judge("The answer is C. Amiodarone", question).correct is True


def test_a_step_that_mentions_an_option_is_not_final() -> None:
    for step in (
        "Option B, Vitamin C, would explain the gums.",
        "We rule out A and D.",
        "B is correct about the gums but not the rash.",
        "Among the options, A is the best fit so far.",
        "Vitamin C",
        "B",
    ):
        assert verifier_for(q.MEDICINES).stated_answer(step, q.MEDICINES) is None


@settings(deadline=None)
@given(st.text(alphabet="ABCDEabcde answer is not but or.,:()*\n\"'$\\{}boxed"))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    for question in (q.MEDICINES, q.number("3", "mg"), q.yes_no("no"), q.free("x"), q.several("x"), q.pattern("x")):
        verdict = judge(text, question)
        assert (verdict.answer is None) == (verdict.correct is None)


@pytest.mark.parametrize(
    "text", ["answer " * 50_000, "the answer is not " * 20_000, "\\boxed{" * 30_000, "a, " * 100_000, "1," * 100_000]
)
def test_long_odd_texts_take_no_long_time(text: str) -> None:
    for question in (q.MEDICINES, q.number("3", "mg"), q.free("x"), q.several("x")):
        verdict = judge(text, question)
        assert (verdict.answer is None) == (verdict.correct is None)
