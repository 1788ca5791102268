from meds3core.text.prompts import TEMPLATES, answer_form
from meds3core.text.steps import OPENER
from meds3core.types.question import ChoiceFormat, Gold, NumberFormat, Option, Question

PLAIN, GUIDED = TEMPLATES["plain"], TEMPLATES["guided"]


def test_plain_is_the_bare_question():
    prompt = PLAIN.continuation("How much?", "a number", [OPENER, "Weigh."], "reason")
    assert [(turn.role, turn.content) for turn in prompt.messages] == [("user", "How much?")]
    assert prompt.pieces == (f"Step 0: {OPENER}\n\n", "Step 1: Weigh.\n\n", "Step 2:")


def test_a_childs_prompt_extends_its_parents():
    parent = PLAIN.continuation("Q", "", [OPENER], "reason")
    child = PLAIN.continuation("Q", "", [OPENER, "Weigh."], "reason")
    assert child.messages == parent.messages
    assert child.pieces[: len(parent.pieces) - 1] == parent.pieces[:-1]


def test_a_reflection_begins_with_but_wait_and_claims_no_knowledge():
    prompt = GUIDED.continuation("Q", "a number", [OPENER, "The answer is 3."], "finish", reflect=True)
    assert prompt.pieces[-1] == "Step 2: But wait,"
    assert "wrong" not in prompt.messages[-1].content.lower()
    assert "incorrect" not in prompt.messages[-1].content.lower()


def test_the_system_turn_is_the_same_for_every_use():
    uses = [
        GUIDED.continuation("Q", "", [OPENER], "reason"),
        GUIDED.plan("Q", "", [OPENER]),
        PLAIN.continuation("Q", "", [OPENER], "finish"),
    ]
    assert len({tuple(turn.content for turn in use.messages if turn.role == "system") for use in uses}) == 1


def test_braces_in_a_question_are_text():
    prompt = GUIDED.plan("Is {x} a {question}?", "yes or no", [OPENER, "Set {y}."])
    assert "Is {x} a {question}?" in prompt.messages[-1].content
    assert "Set {y}." in prompt.messages[-1].content


def test_labels_and_hashes_tell_templates_apart():
    assert PLAIN.label == "plain@1"
    assert len({PLAIN.hash, GUIDED.hash, PLAIN.model_copy(update={"version": 2}).hash}) == 3


def test_answer_forms():
    choice = Question(
        id="1",
        text="?",
        gold=Gold(value="B"),
        answer_format=ChoiceFormat(options=(Option(letter="A", text="x"), Option(letter="B", text="y"))),
    )
    assert "letter" in answer_form(choice)
    number = choice.model_copy(update={"answer_format": NumberFormat(unit="mg")})
    assert answer_form(number) == "a number in mg"
