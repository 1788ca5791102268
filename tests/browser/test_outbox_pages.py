"""Judgements on their way through bad networks: answers that never come, strange ones, a device that forgets."""

from contextlib import suppress

import pytest

from tests.browser.guard import sign_in
from tests.browser.judging import instruct, judged, queue_of_steps, rounds_of, shown_elsewhere
from tests.browser.people import person
from tests.browser.working import QUIET, at, becomes, following, judging, keeps, opened, saved, shown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAVE, UNDO, REVISE = "**/work/save/", "**/work/undo/", "**/work/revise/"
LINE, WAITS = ".work-line", "Offline: 1 judgement kept here"


@pytest.fixture(scope="module")
def queues(studio):
    """Two queues of many steps for Anna."""
    studio.call(person, username="olga", team="Oncology")
    studio.call(person, username="anna", team="Oncology", role="annotator", name="Anna Meier")
    names = ("Lost answers", "Strange answers")
    return [studio.call(queue_of_steps, team="Oncology", name=name, items=20) for name in names]


@pytest.fixture
def bench(studio, chromium, queues):
    """Anna's work page in the next of the queues, on a line that tests spoil; gives page, queue and team."""
    made = queues.pop()
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    broken = []  # a browser complains of every request without an answer; a script must not break
    page.on("pageerror", lambda error: broken.append(str(error)))
    sign_in(page, studio, "anna")
    opened(page, studio, made["slug"], made["queue"])
    yield page, made["queue"], made["slug"]
    context.close()
    assert broken == []


def answer_lost(route):
    """The server hears of it; its answer does not arrive."""
    from playwright.sync_api import Error

    with suppress(Error):  # the line was mended meanwhile
        route.fetch()
        route.abort()


def test_an_undo_after_a_lost_answer_is_neither_lost_nor_doubled(studio, bench):
    from playwright.sync_api import expect

    page, queue, _ = bench

    def verdicts(item):
        return [row["verdict"] for row in studio.call(judged, queue=queue) if row["item"] == item]

    # The judgement arrived, its answer did not. Undo takes it back at the server.
    first = shown(page)
    page.route(SAVE, answer_lost)
    page.keyboard.press("2")
    expect(page.locator(LINE)).to_have_text(WAITS)
    assert verdicts(first) == ["neutral"]
    page.keyboard.press("u")
    judging(page)
    becomes(page, lambda: verdicts(first), [])
    assert shown(page) == first
    page.unroute(SAVE)
    page.keyboard.press("1")
    saved(page)
    assert verdicts(first) == ["good"]
    page.keyboard.press("n")
    following(page, first)

    # Neither does the answer to the undo: the server is told again, and of the new judgement after it.
    second = shown(page)
    for path in (SAVE, UNDO):
        page.route(path, answer_lost)
    page.keyboard.press("2")
    expect(page.locator(LINE)).to_have_text(WAITS)
    page.keyboard.press("u")
    judging(page)
    keeps(page, 1)
    page.keyboard.press("1")
    keeps(page, 2)
    for path in (SAVE, UNDO):
        page.unroute(path)
    saved(page)
    assert verdicts(second) == ["good"]
    page.keyboard.press("n")
    following(page, second)

    # Without any line what is undone was perhaps never heard of: a reload in between changes nothing.
    third = shown(page)
    page.route(SAVE, answer_lost)
    page.keyboard.press("2")
    expect(page.locator(LINE)).to_have_text(WAITS)
    page.route(UNDO, lambda route: route.abort())
    page.keyboard.press("u")
    judging(page)
    assert verdicts(third) == ["neutral"]
    for path in (SAVE, UNDO):
        page.unroute(path)
    page.reload()
    at(page, third)
    saved(page)
    becomes(page, lambda: verdicts(third), [])
    page.keyboard.press("3")
    page.keyboard.press("n")
    saved(page)
    assert verdicts(third) == ["bad"]
    page.keyboard.press("n")
    following(page, third)

    # What was hidden has been shown elsewhere by then: the judgement stands, and what is said now is a change of it.
    fourth = shown(page)
    page.route(SAVE, answer_lost)
    page.keyboard.press("2")
    expect(page.locator(LINE)).to_have_text(WAITS)
    studio.call(shown_elsewhere, item=fourth, username="anna")
    page.route(UNDO, lambda route: route.abort())
    page.keyboard.press("u")
    judging(page)
    page.keyboard.press("1")
    keeps(page, 2)
    for path in (SAVE, UNDO):
        page.unroute(path)
    saved(page)
    assert [each[:3] for each in studio.call(rounds_of, item=fourth)] == [
        ["neutral", True, False], ["good", False, True]
    ]  # fmt: skip
    expect(page.locator("[data-refused]")).to_be_hidden()


def test_what_waits_is_kept_until_our_server_has_it(studio, bench):
    from playwright.sync_api import expect

    page, queue, slug = bench

    def count():
        return len(studio.call(judged, queue=queue))

    # Somebody else's 200 saves nothing.
    item = shown(page)
    page.route(SAVE, lambda route: route.fulfill(status=200, content_type="text/html", body="<p>Guest network</p>"))
    page.keyboard.press("1")
    expect(page.locator(LINE)).to_have_text(WAITS)
    assert "sign-in page" in page.locator(LINE).get_attribute("title")
    page.unroute(SAVE)
    page.route(SAVE, lambda route: route.fulfill(status=200, content_type="application/json", body="{}"))
    page.evaluate("window.studio.outbox.flush()")
    keeps(page, 1)
    assert count() == 0
    page.unroute(SAVE)
    saved(page)
    assert count() == 1

    # What another team does not take holds nothing up here.
    stranger = "/t/nowhere/queue-items/00000000-0000-4000-8000-000000000000/work/save/"
    page.evaluate(
        "url => window.studio.outbox.put({ id: window.studio.outbox.id(), item: 'x', url, title: 'x', body: {} })",
        stranger,
    )
    page.keyboard.press("n")
    following(page, item)
    item = shown(page)
    page.keyboard.press("1")
    expect(page.locator(LINE)).to_have_text("Saved here; of another team 1 judgement kept here")
    assert count() == 2
    page.evaluate(
        "window.studio.outbox.waiting().then(all => all.forEach(each => window.studio.outbox.forget(each.id)))"
    )
    keeps(page, 0)

    # The browser closes the database under the page.
    page.evaluate("new Promise(done => (indexedDB.deleteDatabase('meds3-judgements').onsuccess = done))")
    page.keyboard.press("n")
    following(page, item)
    item = shown(page)
    page.keyboard.press("1")
    saved(page)
    assert count() == 3
    page.keyboard.press("n")
    following(page, item)

    # The server fails at each of the three steps that one may hold: the page says so, and goes on by itself.
    page.get_by_label("Go on at once").check()
    page.locator("[data-work][data-ahead='2']").wait_for()
    page.wait_for_timeout(QUIET)
    page.route(SAVE, lambda route: route.fulfill(status=500, content_type="text/html", body="<p>Sorry</p>"))
    for number in range(3):
        item = shown(page)
        page.keyboard.press("2")
        if number < 2:
            following(page, item)
    expect(page.get_by_role("heading", name="What you judged is still on its way")).to_be_visible()
    page.unroute(SAVE)
    judging(page)
    assert count() == 6

    # A refusal says why, and keeps the words.
    page.route(
        SAVE,
        lambda route: route.fulfill(
            status=404, content_type="application/json", body='{"detail": "The queue is gone."}'
        ),
    )
    item = shown(page)
    page.keyboard.press("3")
    page.keyboard.press("t")
    page.keyboard.type("Half the dose.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("The queue is gone.")).to_be_visible()
    expect(page.get_by_text("You said: Bad · Half the dose.")).to_be_visible()
    page.unroute(SAVE)
    page.get_by_role("button", name="I have read this", exact=True).click()
    keeps(page, 0)

    # New instructions are shown to who is at work, before another step.
    following(page, item)
    studio.call(instruct, queue=queue, text="From now on look **twice**.")
    item = shown(page)
    with page.expect_response(lambda answer: "/work/next/" in answer.url and answer.json()["unread"]):
        page.keyboard.press("1")
    following(page, item)
    page.keyboard.press("1")
    dialog = page.get_by_role("dialog", name="Instructions")
    expect(dialog).to_contain_text("From now on look twice.")
    dialog.get_by_role("button", name="I have read this").click()
    page.wait_for_timeout(QUIET)
    item = shown(page)
    page.keyboard.press("1")
    following(page, item)
    saved(page)
    assert studio.call(rounds_of, item=item)[-1][3] == 2

    # Whoever signs out is signed out, whatever the device does.
    page.route(SAVE, lambda route: route.fulfill(status=500, content_type="text/html", body="<p>Sorry</p>"))
    page.keyboard.press("1")
    keeps(page, 1)
    page.goto(f"{studio.url}/t/{slug}/queues/")
    page.evaluate(
        "() => { for (const name of ['take', 'all']) window.studio.kept[name] = () => new Promise(() => {}); }"
    )
    page.get_by_role("button", name="Anna Meier: your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
