"""Answers that were chosen: candidates with their scores, and the tree of a search. And what is done with conversations
as wholes: named, found, shared and taken back, taken along; and what is too long is told before it is sent.
"""

import json
import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Locator, Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.studio import Studio
from tests.browser.talking import prm

Check = Callable[[Page, str], None]
QUESTION = (
    "A girl weighs 28 kg. The dose of phenytoin is 4 mg/kg per day, divided into 2 doses. How many mg is one dose?"
)
SCORE = re.compile(r"score (\d\.\d\d)")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def settings(page: Page, **wanted: str) -> None:
    """Change these settings of the conversation, by their labels."""
    page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("More settings").click()
    for label, value in wanted.items():
        field = dialog.get_by_label(label.replace("_", " "), exact=False)
        if label == "Way_to_answer":
            field.select_option(value)
        else:
            field.fill(value)
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It counts from the next question on.")).to_be_visible()


def answered(page: Page, way: str) -> Locator:
    """The answer at the end of the conversation, once it is there and was given in this way."""
    answer = page.locator(".chat-assistant").last
    expect(answer.locator(".chat-head .badge").first).to_have_text(way)
    expect(answer.get_by_text("tokens written", exact=False)).to_be_visible(timeout=180_000)
    return answer


def whole_of(answer: Locator) -> str:
    """What it says, step by step, without the page's own words."""
    return " ".join(" ".join(answer.locator(".chat-text").all_inner_texts()).split())


def test_candidates_and_trees(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="tess", team="Choice ward")
    studio.call(prm, team="Choice ward")
    sign_in(page, studio, "tess")
    studio.start_chat()
    page.goto(f"{studio.url}/t/choice-ward/chat/")
    page.get_by_label("Way to answer").select_option("best-of-n")
    page.get_by_label("Reward model", exact=False).select_option(label="Tiny PRM v1")
    page.get_by_text("More settings").click()
    page.get_by_label("Answers to choose from").fill("4")
    page.get_by_label("Temperature", exact=False).fill("0.9")
    page.get_by_label("Tokens at most", exact=False).fill("200")
    page.get_by_label("Seed", exact=False).fill("7")
    page.get_by_role("button", name="Begin").click()
    box = page.get_by_label("Your message")
    box.fill(QUESTION)
    box.press("Enter")

    # Best of n: all candidates can be read, and the chosen one is the best by the score that is beside it.
    answer = answered(page, "best-of-n")
    answer.get_by_text("Chosen from 4 answers").click()
    candidates = answer.locator(".chat-candidate")
    expect(candidates).to_have_count(4)
    heads = candidates.locator("summary").all_inner_texts()
    scores = {head: float(found[1]) for head in heads if (found := SCORE.search(head))}
    assert len(scores) == 4, heads
    (chosen,) = (head for head in heads if "chosen" in head)
    stating = [score for head, score in scores.items() if "states no answer" not in head]
    assert scores[chosen] == max(stating or scores.values()), heads
    best = candidates.filter(has_text="chosen")
    best.locator("summary").click()
    said = best.locator(".chat-said").inner_text()
    assert " ".join(re.sub(r"Step \d+:", "", said).split()) == whole_of(answer)
    other = candidates.filter(has_not_text="chosen").first
    other.locator("summary").press("Enter")
    expect(other.locator(".chat-said")).to_be_visible()
    check_page(page, "chat-candidates")

    # Self-consistency: what most state.
    settings(page, Way_to_answer="self-consistency", Answers_to_choose_from="5")
    page.get_by_role("button", name="Answer again").click()
    answer = answered(page, "self-consistency")
    expect(answer.locator(".chat-candidates > summary")).to_contain_text("votes")
    answer.locator(".chat-candidates > summary").click()
    expect(answer.locator(".chat-candidate")).to_have_count(5)
    heads = answer.locator(".chat-candidate > summary").all_inner_texts()
    assert sum("chosen" in head for head in heads) == 1, heads
    stated = [" ".join(re.sub(r"^Answer \d+|chosen", "", head).split()) for head in heads]
    counted = {each: stated.count(each) for each in stated if each != "states no answer"}
    (chosen,) = (each for each, head in zip(stated, heads, strict=True) if "chosen" in head)
    assert counted.get(chosen, 0) == max(counted.values(), default=0), heads

    # Tree search: the tree opens, drawn and as a table.
    settings(page, Way_to_answer="tree-search", Steps_of_a_tree="8")
    page.get_by_role("button", name="Answer again").click()
    answer = answered(page, "tree-search")
    told = whole_of(answer)
    expect(answer.locator(".chat-step summary", has_text="score 0.").first).to_be_visible()
    answer.get_by_role("link", name="Open the tree").click()
    expect(page.get_by_role("heading", name="Tree of an answer")).to_be_visible()
    expect(page.get_by_text("guided by Tiny PRM v1", exact=False)).to_be_visible()
    expect(page.locator(".tree-drawing")).not_to_have_attribute("data-state", "loading")
    page.locator(".tree-drawing canvas").first.press("ArrowRight")
    rows = page.locator(".tree-grid tbody tr")
    assert 2 <= rows.count() <= 9
    steps = [" ".join(each.split()) for each in page.locator(".tree-grid .tree-text").all_inner_texts()]
    assert any(step and step in told for step in steps[1:]), (steps, told)
    check_page(page, "chat-tree")
    page.get_by_label("breadcrumb").get_by_role("link", name="A girl weighs", exact=False).click()
    expect(page.get_by_text("3 of 3")).to_be_visible()


def test_named_found_shared_and_taken_along(studio: Studio, page: Page, check_page: Check) -> None:
    for username, team in (("nora", "Name ward"), ("nils", "Name ward"), ("olga", "Other ward")):
        studio.call(person, username=username, team=team)
    sign_in(page, studio, "nora")
    studio.start_chat()
    page.goto(f"{studio.url}/t/name-ward/chat/")
    page.get_by_text("More settings").click()
    page.get_by_label("Temperature", exact=False).fill("0")
    page.get_by_role("button", name="Begin").click()

    # Too long for the model: told at once, nothing is sent, nothing that was written is lost.
    box, too_long = page.get_by_label("Your message"), "word " * 15_000
    box.fill(too_long)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "clinic-base v1: the conversation has 75,000 tokens with it, and the model reads 4,096."
    )
    expect(page.locator(".chat-message")).to_have_count(0)
    assert box.input_value() == too_long
    check_page(page, "chat-too-long")
    box.fill(QUESTION)
    box.press("Enter")
    expect(page.locator(".chat-assistant").get_by_text("tokens written", exact=False)).to_be_visible(timeout=180_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    box.fill(too_long)
    page.set_viewport_size({"width": 1280, "height": 450})
    page.evaluate("window.scrollTo(0, 0)")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Shorten it, or begin a new conversation.")
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)  # also for who reads further up
    expect(page.locator(".chat-message")).to_have_count(2)
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 900})
    where = page.url

    # A name of one's own, by which it is found; so are words that were said in it.
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_label("Title").fill("Doses of children")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Doses of children")
    page.goto(f"{studio.url}/t/name-ward/chat/")
    for words, count in (("doses of CHILDREN", 1), ("phenytoin", 1), ("aspirin", 0)):
        page.get_by_label("Search in conversations").fill(words)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_label("Search in conversations")).to_have_value(words)
        expect(page.locator(".chat-title")).to_have_count(count)
        assert words.split()[0] not in page.url
    expect(page.get_by_text("Nothing that you said or read here holds these words.")).to_be_visible()

    # Shared, a colleague finds it, reads it and says what they think; nobody of another team does.
    page.goto(where)
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_text("Name ward can read it now.")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("link", name="Export as JSON").click()
    exported = json.loads(waiting.value.path().read_text())
    assert exported["title"] == "Doses of children" and waiting.value.suggested_filename == "doses-of-children.json"
    assert [each["role"] for each in exported["messages"]] == ["user", "assistant"]
    assert exported["messages"][1]["config"]["temperature"] == 0
    sign_in(page, studio, "nils")
    page.goto(f"{studio.url}/t/name-ward/chat/")
    page.get_by_role("link", name="Shared by others").click()
    check_page(page, "chat-shared")
    page.get_by_role("link", name="Doses of children").click()
    answer = page.locator(".chat-assistant")
    answer.get_by_role("button", name="Bad answer").click()
    answer.get_by_label("Why you think so").fill("It forgets the weight.")
    with page.expect_response(lambda response: response.url.endswith("/rate/")):
        answer.get_by_role("button", name="Save").click()
    assert page.get_by_role("button", name="Answer again").count() == 0
    sign_in(page, studio, "olga")
    assert page.goto(where).status == 404
    sign_in(page, studio, "nora")
    page.goto(where)
    expect(page.locator(".chat-opinion")).to_have_text("nils bad answer: It forgets the weight.")
    page.get_by_role("button", name="Share no longer").click()
    expect(page.get_by_text("Only you can read it now.")).to_be_visible()
    sign_in(page, studio, "nils")
    assert page.goto(where).status == 404
    check_page(page, "chat-not-shared")
