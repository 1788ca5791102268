"""Sentences are read back as they were written."""

from decimal import Decimal

import pytest

from meds3core.sandbox.template import Template, plain, tenth


def test_slots_are_written_and_read_back_with_their_digits():
    template = Template("Give {drug:*} {dose} mg, {when:now|at night}.")
    values = {"drug": "tranexamic acid", "dose": Decimal("2.50"), "when": "at night"}
    text = template.write(values)
    assert text == "Give tranexamic acid 2.50 mg, at night."
    assert template.read(text) == values and str(template.read(text)["dose"]) == "2.50"


@pytest.mark.parametrize(
    "text",
    ["Give x 2 mg, later.", "Give x two mg, now.", "Give  2 mg, now.", " Give x 2 mg, now.", "Give x 2 mg, now. "],
)
def test_other_sentences_are_not_read(text):
    assert Template("Give {drug:*} {dose} mg, {when:now|at night}.").read(text) is None


def test_the_longest_wording_wins():
    assert Template("{a:care|care home} x").read("care home x") == {"a": "care home"}


def test_rounding_is_half_up():
    assert [str(tenth(Decimal(x))) for x in ("1.04", "1.05", "2")] == ["1.0", "1.1", "2.0"]
    assert [str(plain(Decimal(x))) for x in ("70.00", "2.25", "2.96", "7E+1")] == ["70", "2.3", "3", "70"]
