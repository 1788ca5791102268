"""Judging in a real browser: by keyboard alone, on a tablet, through reloads and lost lines; then review."""

import time

import pytest

from tests.browser.forests import forest
from tests.browser.guard import sign_in
from tests.browser.judging import judged, people_judge, queue_of_steps
from tests.browser.people import person
from tests.browser.working import QUIET, at, following, keeps, kept, opened, saved, shown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def ward(studio):
    """A team with an owner and two annotators; gives its slug."""
    studio.call(person, username="olga", team="Cardiology")
    studio.call(person, username="anna", team="Cardiology", role="annotator", name="Anna Meier")
    studio.call(person, username="bert", team="Cardiology", role="annotator", name="Bert Roth")
    return studio.call(queue_of_steps, team="Cardiology", name="First doses", items=1)["slug"]


def test_thirty_steps_by_keyboard_alone(studio, page, ward, check_page):
    from playwright.sync_api import expect

    made = studio.call(queue_of_steps, team="Cardiology", name="Thirty doses", items=30, controls=3)
    sign_in(page, studio, "anna")
    page.goto(studio.url)
    check_page(page, "judging-home")
    page.goto(f"{studio.url}/t/{ward}/queues/")
    check_page(page, "judging-list")
    page.get_by_role("link", name="Judge in Thirty doses").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Instructions")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("[data-work][data-item]").wait_for()
    page.wait_for_timeout(QUIET)
    began, verdicts = time.monotonic(), {}
    for number in range(30):
        item = shown(page)
        if number % 5 == 3:  # bad, with a kind and a severity
            page.keyboard.press("f")
            page.keyboard.press("7")
            page.keyboard.press("n")
        elif number % 5 == 4:  # bad, with a correction
            page.keyboard.press("3")
            page.keyboard.press("c")
            page.keyboard.type("It is 2.5 mg.")
            page.keyboard.press("Control+Enter")
        else:
            page.keyboard.press("1" if number % 5 else "4")
        verdicts[item] = {3: "bad", 4: "bad", 0: "cant-tell"}.get(number % 5, "good")
        expect(page.locator("[data-work]")).to_have_attribute("data-phase", "shown")
        if number == 3:
            expect(page.get_by_role("heading", name="What was hidden")).to_be_visible()
            check_page(page, "work-shown")
        page.keyboard.press("n")
        if number < 29:
            following(page, item)
        if number == 4:
            page.keyboard.press("3")
            check_page(page, "work-judging")
            page.keyboard.press("u")
        if number == 5:
            began = time.monotonic()  # the photographs took their time
    print(f"{24 * 60 / (time.monotonic() - began):.0f} judgements a minute")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    check_page(page, "work-done")
    saved(page)
    found = studio.call(judged, queue=made["queue"])
    assert {row["item"]: row["verdict"] for row in found} == verdicts
    assert {row["blind"] for row in found} == {True}
    assert all(row["seconds"] > 0 for row in found)
    assert {row["correction"] for row in found if row["correction"]} == {"It is 2.5 mg."}


def test_nothing_is_lost(studio, chromium, ward):
    """Undo, a reload in mid-item, a second tab, a lost line, other keys, signing out."""
    from playwright.sync_api import expect

    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    said_wrong = []  # a browser complains of every request without a line
    page.on("console", lambda message: said_wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said_wrong.append(str(error)))
    made = studio.call(queue_of_steps, team="Cardiology", name="Restless doses", items=12)
    sign_in(page, studio, "anna")
    opened(page, studio, ward, made["queue"])

    first = shown(page)
    page.keyboard.press("3")
    page.keyboard.press("s")
    page.keyboard.press("t")
    page.keyboard.type("Half a thought")
    page.wait_for_timeout(1500)
    page.reload()
    page.locator("[data-work][data-item]").wait_for()
    assert shown(page) == first
    expect(page.get_by_role("button", name="Bad", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Unsafe")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#work-comment")).to_have_value("Half a thought")

    # Going on at once: what was said is taken back as if it had never been, for nothing was shown yet.
    page.get_by_label("Go on at once").check()
    page.wait_for_timeout(QUIET)
    page.keyboard.press("n")
    following(page, first)
    saved(page)
    page.keyboard.press("u")
    at(page, first)
    page.keyboard.press("1")
    page.keyboard.press("n")
    following(page, first)
    saved(page)
    said = studio.call(judged, queue=made["queue"])
    assert [(row["item"], row["verdict"], row["blind"]) for row in said] == [(first, "good", True)]

    # A second tab asks before it takes over, and the first one stands still then.
    item = shown(page)
    page.keyboard.press("t")
    page.keyboard.type("Begun here")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("heading", name="You are judging this queue in another tab")).to_be_visible()
    other.get_by_role("button", name="Go on here").click()
    other.locator(f"[data-work][data-item='{item}']").wait_for()
    expect(other.locator("#work-comment")).to_have_value("Begun here")
    expect(page.get_by_role("heading", name="You are judging this queue in another tab")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Go on here").click()
    page.locator(f"[data-work][data-item='{item}']").wait_for()

    # Without a line: the present step and those at hand are judged, and wait on the device.
    page.locator("[data-work][data-ahead='2']").wait_for()
    page.wait_for_timeout(QUIET)
    page.context.set_offline(True)
    offline = []
    page.get_by_role("button", name="Good", exact=True).click()
    page.keyboard.press("n")
    for _ in range(2):
        following(page, item)
        offline.append(item)
        item = shown(page)
        page.keyboard.press("2")
    offline.append(item)
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    expect(page.locator(".work-line")).to_have_text("Offline: 3 judgements kept here")
    assert len(studio.call(judged, queue=made["queue"])) == 1
    page.context.set_offline(False)
    saved(page)
    found = {row["item"]: row["verdict"] for row in studio.call(judged, queue=made["queue"])}
    assert [found[each] for each in offline] == ["good", "neutral", "neutral"]

    # Other keys, kept over a reload.
    page.locator("[data-work][data-item]").wait_for()
    page.keyboard.press("?")
    page.get_by_role("button", name="Another key for: Good").click()
    page.keyboard.press("3")
    expect(page.get_by_text("3 is taken: Bad.")).to_be_visible()
    page.keyboard.press("g")
    expect(page.get_by_text("“Good” is now on G.")).to_be_visible()
    page.keyboard.press("Escape")
    page.reload()
    page.locator("[data-work][data-item]").wait_for()
    page.wait_for_timeout(QUIET)
    item = shown(page)
    page.keyboard.press("g")
    following(page, item)
    saved(page)
    assert len(studio.call(judged, queue=made["queue"])) == 5

    # What is shown of the last one makes a later change one that is not blind.
    page.get_by_role("button", name="Show what was hidden").click()
    expect(page.get_by_text("Ward policy v2")).to_be_visible()
    page.keyboard.press("u")
    at(page, item)
    page.keyboard.press("3")
    page.keyboard.press("n")
    following(page, item)
    saved(page)
    changed = [row for row in studio.call(judged, queue=made["queue"]) if row["item"] == item]
    assert [(row["verdict"], row["blind"]) for row in changed] == [("bad", False)]

    # A page that is left without a line sends from whichever is opened next; signing out leaves nothing behind.
    page.context.set_offline(True)
    page.keyboard.press("2")
    expect(page.locator(".work-line")).to_have_attribute("data-line", "down")
    keeps(page, 1)
    page.context.set_offline(False)
    page.goto(studio.url)
    saved(page)
    assert len(studio.call(judged, queue=made["queue"])) == 6
    page.goto(f"{studio.url}/t/{ward}/queues/{made['queue']}/work/")
    page.locator("[data-work][data-item]").wait_for()
    page.wait_for_timeout(QUIET)
    page.keyboard.press("3")
    keeps(page, 1, "drafts")
    page.goto(studio.url)
    page.get_by_role("button", name="Anna Meier: your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert kept(page) == kept(page, "drafts") == 0
    assert [each for each in said_wrong if "ERR_INTERNET_DISCONNECTED" not in each] == []
    page.context.close()


def test_a_tablet_held_upright(studio, page, ward):
    """The step stays above the buttons, whatever is open; an answer is judged step by step to its first bad one."""
    made = studio.call(queue_of_steps, team="Cardiology", name="Whole answers", items=2, mode="trajectory")
    page.set_viewport_size({"width": 820, "height": 1180})
    sign_in(page, studio, "bert")
    opened(page, studio, ward, made["queue"])
    place = page.locator("[data-place]")
    assert "1 of 3 to judge" in place.inner_text() or "1 of 2 to judge" in place.inner_text()
    item = shown(page)
    page.get_by_role("button", name="Good", exact=True).click()
    page.wait_for_timeout(QUIET)
    assert "2 of" in place.inner_text()
    page.get_by_role("button", name="Bad", exact=True).click()
    step, buttons = page.locator(".work-this").bounding_box(), page.locator(".work-judge").bounding_box()
    assert step["y"] + step["height"] <= buttons["y"] + 1
    page.get_by_role("button", name="Wrong inference").click()
    page.get_by_role("button", name="Save", exact=True).click()
    saved(page)
    rows = [row for row in studio.call(judged, queue=made["queue"]) if row["item"] == item]
    assert [(row["position"], row["verdict"]) for row in rows] == [(0, "good"), (1, "bad")]


def test_from_a_search_to_decisions_and_labels(studio, page, check_page):
    """Two clicks make a queue; what people say is reviewed, decided, measured and made into labels."""
    from playwright.sync_api import expect

    studio.call(person, username="wanda", team="Woods")
    for name in ("arne", "beate"):
        studio.call(person, username=name, team="Woods", role="annotator")
    wood = studio.call(forest, team="Woods", username="wanda", count=6)
    sign_in(page, studio, "wanda")
    page.goto(f"{studio.url}/t/{wood['slug']}/searches/{wood['searches'][0]}/")
    page.get_by_role("link", name="Make a queue").click()
    expect(page.locator("#queue-preview strong")).to_be_visible()
    total = page.locator("#queue-preview strong").inner_text()
    check_page(page, "queue-create")
    page.get_by_text("Which steps, and how they are judged").click()
    for name in ("Drawn by chance", "The reward model is unsure"):
        page.get_by_label(name).fill("0")
    page.get_by_label(name).press("Tab")
    expect(page.locator("#added-random")).to_have_text("0")
    check_page(page, "queue-create-rules")
    page.reload()
    page.get_by_role("button", name="Make the queue").click()
    expect(page.get_by_text(f"{total} items added")).to_be_visible()
    check_page(page, "queue")
    queue = page.url.rstrip("/").rpartition("/")[2]
    for part in ("fill", "settings", "instructions"):
        page.goto(f"{studio.url}/t/{wood['slug']}/queues/{queue}/{part}/")
        check_page(page, f"queue-{part}")

    assert studio.call(people_judge, queue=queue, usernames=["arne", "beate"], bad_from=2) == 2 * int(total)
    page.goto(f"{studio.url}/t/{wood['slug']}/queues/{queue}/review/")
    check_page(page, "queue-review")
    page.locator(".judge-step").first.click()
    check_page(page, "queue-item")
    first = page.url
    page.get_by_role("radio", name="Bad").check()
    page.get_by_text("With reasons").click()
    page.get_by_label("Wrong inference").check()
    page.get_by_label("Comment").fill("It does not follow.")
    page.get_by_role("button", name="Decide, then the next").click()
    expect(page.get_by_text("Here is the next disagreement")).to_be_visible()
    page.goto(first)
    expect(page.get_by_text("It does not follow.").first).to_be_visible()
    page.get_by_role("button", name="Make it a control item").click()
    expect(page.get_by_text("It is a control item now")).to_be_visible()
    page.get_by_role("link", name="Review", exact=True).click()
    page.get_by_role("link", name="Agreement", exact=True).click()
    expect(page.get_by_text("Krippendorff").first).to_be_visible()
    check_page(page, "queue-agreement")
    page.get_by_role("link", name="Labels and files").click()
    before = page.locator("#labels-preview strong").inner_text()
    page.get_by_label("Judgements of a step, at least").fill("2")
    page.get_by_label("How several judgements become one label").select_option("unanimous")
    expect(page.locator("#labels-preview strong")).not_to_have_text(f"{int(before) + 1}")
    check_page(page, "queue-labels")
    page.get_by_role("button", name="Make the label set").click()
    expect(page.get_by_role("heading", name="Labels of")).to_be_visible()
