from hypothesis import given
from hypothesis import strategies as st

from meds3core.text.steps import OPENER, header, join, render_step, render_trajectory, split, split_continuation

pieces = st.sampled_from(
    ["\n", "\n\n", "Step ", "Step 1:", "Step 12: ", "\n\nStep 3:", "\n\nStep x:", ":", " ", "0", "a", "é"]
)
texts = st.one_of(st.text(), st.lists(pieces).map("".join))


@given(texts)
def test_join_undoes_split_for_every_string(text):
    assert join(split(text)) == text


@given(st.lists(st.text(alphabet="abc .\n", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=6))
def test_a_rendered_trajectory_splits_into_its_bodies(bodies):
    bodies = [body.replace("\n\n", "\n") for body in bodies]
    steps = split(render_trajectory(bodies))
    assert [step.body for step in steps] == bodies
    assert [step.number for step in steps] == list(range(len(bodies)))


def test_blank_lines_inside_a_step_belong_to_it():
    steps = split("Step 0: a\n\nb\n\nStep 1: c\n\nStepwise\n\nStep two: d")
    assert [step.body for step in steps] == ["a\n\nb", "c\n\nStepwise\n\nStep two: d"]


def test_a_number_that_differs_is_kept():
    assert [step.number for step in split("Step 0: a\n\nStep 7: b")] == [0, 7]


def test_a_text_without_header_is_one_step_without_number():
    assert [(step.number, step.body) for step in split("so\n\nStep 2: b")] == [(None, "so"), (2, "b")]


def test_pieces_concatenate_to_the_trajectory():
    bodies = [OPENER, "weigh", "The answer is 3."]
    text = "".join(render_step(number, body) for number, body in enumerate(bodies))
    assert text.rstrip("\n") == render_trajectory(bodies)
    assert text.startswith(header(0))


def test_a_continuation_is_cut_and_stripped_and_empty_steps_are_left_out():
    steps = split_continuation(" first \n\nStep 3:  \n\nStep 4: The answer is 3.", 2)
    assert [(step.number, step.body) for step in steps] == [(2, "first"), (4, "The answer is 3.")]
