"""A conversation in a browser: an answer streams in, its steps fold out with scores, and nothing is lost on the way."""

from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.studio import Studio
from tests.browser.talking import other_policy, prm, queue

Check = Callable[[Page, str], None]
QUESTION = (
    "A girl weighs 28 kg. The dose of phenytoin is 4 mg/kg per day, divided into 2 doses. How many mg is one dose?"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_conversation(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="cleo", team="Chat ward")
    studio.call(prm, team="Chat ward")
    sign_in(page, studio, "cleo")
    page.goto(f"{studio.url}/t/chat-ward/chat/")
    expect(page.get_by_text("No conversation yet")).to_be_visible()
    check_page(page, "chat-empty")
    page.get_by_label("Reward model", exact=False).select_option(label="Tiny PRM v1")
    page.get_by_text("More settings").click()
    page.get_by_label("Temperature", exact=False).fill("0")
    page.get_by_role("button", name="Begin").click()

    # Nobody answers yet: the page says so, and the answer comes when somebody does.
    box = page.get_by_label("Your message")
    box.fill(QUESTION)
    box.press("Enter")
    expect(page.get_by_text("Waiting for the chat worker.")).to_be_visible()
    expect(box).to_have_value("")
    check_page(page, "chat-waiting")
    studio.start_chat()
    answer = page.locator(".chat-assistant").last
    expect(answer.get_by_text("the answer", exact=False).first).to_be_visible(timeout=180_000)
    expect(answer.locator(".chat-step")).not_to_have_count(0)
    expect(answer.get_by_text("score 0.", exact=False).first).to_be_visible()
    expect(answer.get_by_text("tokens written", exact=False)).to_be_visible()
    first = answer.locator(".chat-answer").inner_text()
    check_page(page, "chat")

    # Another tab sees what is asked here; a reload changes nothing.
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator(".chat-answer")).to_have_text(first, use_inner_text=True)
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    expect(page.locator(".chat-answer")).to_be_visible()
    assert page.locator(".chat-answer").inner_text() == first, "greedy"
    expect(other.get_by_text("2 of 2")).to_be_visible()
    page.get_by_role("button", name="The one before").click()
    expect(page.get_by_text("1 of 2")).to_be_visible()

    # An edited question is a branch; what is written stays when another tab has the thread drawn anew.
    page.get_by_text("Edit into a branch").click()
    page.get_by_label("The question, changed").fill("<img src=x onerror=alert(1)> What now?")
    other.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("3 of 3")).to_be_visible()
    expect(page.get_by_text("tokens written", exact=False)).to_be_visible()
    expect(page.get_by_label("The question, changed")).to_have_value("<img src=x onerror=alert(1)> What now?")
    other.close()
    page.get_by_role("button", name="Ask this instead").click()
    expect(page.locator(".chat-user")).to_contain_text("<img src=x onerror=alert(1)> What now?")
    expect(page.get_by_text("tokens written", exact=False)).to_be_visible()
    expect(page.locator(".chat-user .chat-alternatives")).to_contain_text("2 of 2")

    # Answers that take long are stopped.
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_text("More settings").click()
    page.get_by_role("dialog").get_by_label("Way to answer").select_option("self-consistency")
    page.get_by_role("dialog").get_by_label("Answers to choose from").fill("64")
    page.get_by_role("dialog").get_by_label("Temperature", exact=False).fill("2")
    page.get_by_role("dialog").get_by_label("Top p", exact=False).fill("1")
    page.get_by_role("dialog").get_by_label("Tokens at most", exact=False).fill("1500")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("It counts from the next question on.")).to_be_visible()
    box.fill("Tell me everything.")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    check_page(page, "chat-stopped")

    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_text("Chat ward can read it now.")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_role("link", name="Export as Markdown").click()
    assert "Tell me everything." in waiting.value.path().read_text()
    url = page.url
    studio.call(person, username="carl", team="Chat ward", role="viewer")
    sign_in(page, studio, "carl")
    page.goto(url)
    expect(page.get_by_text("Only cleo can go on with it.")).to_be_visible()
    assert page.get_by_role("button", name="Send").count() == 0
    check_page(page, "chat-read")
    sign_in(page, studio, "cleo")
    page.goto(url)
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The conversation is deleted.")).to_be_visible()
    studio.stop_workers()


def test_from_a_model_to_an_answer_and_what_is_done_with_it(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="mia", team="Model ward")
    studio.call(prm, team="Model ward")
    studio.call(queue, team="Model ward")
    sign_in(page, studio, "mia")
    studio.start_chat()

    # From the model's page with one click; a question it was measured on with another.
    page.goto(f"{studio.url}/t/model-ward/models/")
    page.get_by_role("link", name="clinic-base").first.click()
    page.get_by_role("button", name="Chat", exact=True).click()
    expect(page.get_by_text("steps scored by Tiny PRM v1")).to_be_visible()
    check_page(page, "chat-begin")
    page.locator("[data-example]").first.click()
    box = page.get_by_label("Your message")
    expect(box).not_to_have_value("")
    box.press("Enter")
    answer = page.locator(".chat-assistant").last
    expect(answer.get_by_text("the answer", exact=False).first).to_be_visible(timeout=180_000)
    expect(answer.get_by_text("score 0.", exact=False).first).to_be_visible()
    expect(answer.get_by_text("tokens written", exact=False)).to_be_visible()

    expect(page.get_by_role("heading", level=1)).not_to_have_text("New conversation")

    # An opinion, with the keyboard alone.
    up = answer.get_by_role("button", name="Good answer")
    up.focus()
    page.keyboard.press("Enter")
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(up).to_be_focused()
    answer.get_by_label("Why you think so").fill("Clear and right.")
    with page.expect_response(lambda response: response.url.endswith("/rate/")):
        answer.get_by_role("button", name="Save").click()
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")
    expect(answer.get_by_label("Why you think so")).to_have_value("Clear and right.")

    # A step goes to people who judge.
    answer.get_by_text("Have a step judged").click()
    check_page(page, "chat-judge")
    answer.get_by_role("button", name="Send").click()
    expect(page.get_by_text("The step is in Said in chats.")).to_be_visible()

    # Another way on from the weakest step; both are kept.
    before = answer.locator(".chat-step").nth(0).inner_text()
    answer.get_by_text("Branch from the weakest step").click()
    answer.get_by_role("button", name="Try another way").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    expect(answer.get_by_text("goes on after", exact=False)).to_be_visible()
    expect(answer.get_by_text("tokens written", exact=False)).to_be_visible()
    assert answer.locator(".chat-step").nth(0).inner_text() == before
    check_page(page, "chat-branch")

    # What was cut off is continued.
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_text("More settings").click()
    page.get_by_role("dialog").get_by_label("Tokens at most", exact=False).fill("12")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    box = page.get_by_label("Your message")
    box.fill(QUESTION)
    box.press("Enter")
    answer = page.locator(".chat-assistant").last
    expect(answer.get_by_text("Cut off at 12 tokens.")).to_be_visible()
    cut = answer.locator(".chat-text").last.inner_text()
    answer.get_by_role("button", name="Continue").click()
    expect(answer.get_by_text("goes on", exact=False)).to_be_visible()
    expect(answer.get_by_text("12 tokens written", exact=False)).to_be_visible()
    assert cut in page.locator(".chat-assistant").last.inner_text()


def test_two_models_side_by_side(studio: Studio, page: Page, check_page: Check) -> None:
    studio.call(person, username="dora", team="Duel ward")
    studio.call(prm, team="Duel ward")
    studio.call(other_policy, team="Duel ward")
    sign_in(page, studio, "dora")
    studio.start_chat()
    page.goto(f"{studio.url}/t/duel-ward/chat/")
    page.get_by_role("link", name="Two models side by side").click()
    expect(page.get_by_text("Nobody has voted blind yet.", exact=False)).to_be_visible()
    check_page(page, "chat-comparisons-empty")
    page.get_by_text("More settings").click()
    page.get_by_label("Temperature", exact=False).fill("0")
    page.get_by_role("button", name="Begin").click()
    box = page.get_by_label("Your message to both")
    box.fill(QUESTION)
    box.press("Enter")
    expect(page.get_by_role("button", name="Left is better")).to_be_visible(timeout=180_000)
    expect(page.locator("#thread")).not_to_contain_text("Rival")
    expect(page.locator("#thread .chat-step .badge")).to_have_count(0)
    check_page(page, "chat-comparison-blind")
    page.get_by_role("button", name="Left is better").click()
    expect(page.locator("#thread")).to_contain_text("Rival v1")
    expect(page.locator("#thread")).to_contain_text("Left is better, said blind.")
    expect(page.get_by_text("score 0.", exact=False).first).to_be_visible()
    check_page(page, "chat-comparison")
    box = page.get_by_label("Your message to both")
    box.fill("And if it were twice as much?")
    box.press("Enter")
    expect(page.locator(".chat-round")).to_have_count(2)
    page.get_by_role("button", name="Both are bad").click(timeout=180_000)
    expect(page.locator("#thread")).to_contain_text("Both are bad.")
    page.get_by_role("link", name="Side by side").click()
    expect(page.get_by_role("row", name="Rival v1", exact=False)).to_be_visible()
    check_page(page, "chat-comparisons")
