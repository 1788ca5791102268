"""Whatever people and models write stays text: while it streams in, when it is complete, for others, side by side.

A scripted engine says it, through the real chat worker and the real pages. Whatever broke the content policy, wrote an
error to the console or asked another server for anything fails the test (`page`).
"""

import json
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import Download, Page, expect

from meds3core.config.chat import LONGEST_TEXT
from meds3core.engines.seeds import vllm_seed
from tests.browser.guard import PHONE, WIDTHS, sign_in
from tests.browser.people import person
from tests.browser.studio import Studio
from tests.browser.talking import elsewhere, prm, tree_said
from tests.scripted import Script, scripted

Check = Callable[[Page, str], None]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = "document.title='taken'"
STEERS = "\u202egnp.exe\u202c \u2066\u2067x \u200fab \ufeff\u0301\u0301\u0301 "
NO_TEXT = "\x00\x07\x1b[31m\ud800"
EVIL = f"""<script>{RUNS}; fetch("https://elsewhere.example/a")</script>
<img src="https://elsewhere.example/b.png" onerror="{RUNS}"><svg onload="{RUNS}"></svg>
<iframe src="https://elsewhere.example/c"></iframe><style>body {{ display: none }}</style>
<input autofocus onfocus="{RUNS}"><form action="https://elsewhere.example/d"><button>go</button></form>
</textarea></div></article></main><script>{RUNS}</script><base href="https://elsewhere.example/">
![picture](https://elsewhere.example/e.png) ![inside](data:image/svg+xml,<svg/onload={RUNS}>)
[press](javascript:{RUNS}) [PRESS](JaVaScRiPt:{RUNS}) [data](data:text/html,x) [there](https://elsewhere.example/f)
<javascript:{RUNS}> <https://elsewhere.example/g> [named] {{{{ 7 * 7 }}}} {{% csrf_token %}} ${{7*7}}
<a href="javascript:{RUNS}" onclick="{RUNS}" hx-get="https://elsewhere.example/h" hx-trigger="load">z</a>

[named]: javascript:{RUNS}

{STEERS}end of it"""
TABLE = "| " + " | ".join(f"column {number}" for number in range(120)) + " |\n" + "|---" * 120 + "|\n"
TABLE += ("|" + " 1 |" * 120 + "\n") * 12
DEEP = "> " * 400 + "deep\n\n" + "".join("  " * depth + "- deeper\n" for depth in range(90)) + "[" * 2000 + "*" * 2000
WORD = "w" * 6000
OVER = """width => [...document.querySelectorAll("main *")]
    .filter(each => each.getBoundingClientRect().right > width && !each.closest("table"))
    .map(each => `${each.tagName}.${each.className} ${each.textContent.slice(0, 60)}`).slice(0, 5)"""
HEBREW = "מה המינון? 5 mg של phenytoin."


@pytest.fixture(scope="module")
def engine(studio: Studio) -> Iterator[Script]:
    """What the models of this file say; and a team that can talk with them."""
    with scripted() as script:
        studio.call(person, username="eve", team="Evil ward")
        studio.call(person, username="ned", team="Evil ward", role="viewer")
        studio.call(prm, team="Evil ward")
        studio.call(elsewhere, team="Evil ward", url=script.url, allow=script.allow, names=["Loud", "Louder"])
        studio.start_chat(MEDS3_OUTBOUND_ALLOW=script.allow)
        yield script


def begun(page: Page, studio: Studio) -> None:
    """A conversation with the scripted engine, its steps scored."""
    sign_in(page, studio, "eve")
    page.goto(f"{studio.url}/t/evil-ward/chat/")
    page.get_by_label("Model", exact=True).select_option(label="Loud (remote)")
    page.get_by_label("Reward model", exact=False).select_option(label="Tiny PRM v1")
    page.get_by_text("More settings").click()
    page.get_by_label("Instruction").fill(f"Be {EVIL}")
    page.get_by_label("Temperature", exact=False).fill("0.3")
    page.get_by_label("Top p", exact=False).fill("0.8")
    page.get_by_label("Tokens at most", exact=False).fill("77")
    page.get_by_label("Seed", exact=False).fill("99")
    page.get_by_role("button", name="Begin").click()


def inert(page: Page) -> None:
    """Nothing that was said became a part of the page or ran, and on a phone nothing hangs over the edge."""
    assert page.title() != "taken"
    thread = page.locator("main")
    built = "script, img, iframe, object, embed, style, base, input[autofocus]"
    assert thread.locator(f":is({built})").count() == 0
    for name, of in (("a", "href"), ("form", "action")):
        found = thread.locator(name).evaluate_all("(all, of) => all.map(each => each[of])", of)
        own = {"http:", "https:"} if name == "a" else {page.url.split("/")[0]}
        assert {each.split("/")[0] for each in found} <= own, found
    assert thread.locator("form[action*='elsewhere']").count() == 0
    handlers = "all => all.flatMap(each => [...each.attributes].map(one => one.name)).filter(name => /^on/.test(name))"
    assert thread.locator("*").evaluate_all(handlers) == []
    page.set_viewport_size({"width": PHONE, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, page.evaluate(OVER, PHONE)
    page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})


def ask(page: Page, text: str) -> None:
    """Send it with the keyboard."""
    box = page.get_by_label("Your message", exact=False)
    box.fill(text)
    box.press("Enter")
    expect(box).to_have_value("")


def content_of(download: Download) -> str:
    return download.path().read_text()


def test_while_it_streams_and_afterwards_for_its_owner_and_for_others(
    studio: Studio, page: Page, check_page: Check, engine: Script
) -> None:
    begun(page, studio)
    engine.says(f"Step 0: {EVIL}{NO_TEXT}\n\nStep 1: {TABLE}", f"\n\n{DEEP}\n\nStep 2: {WORD} The answer is {EVIL}")
    ask(page, f"{EVIL}\x07")
    live = page.locator("[data-live] .chat-step-body")
    expect(live.first).to_contain_text("<script>document.title='taken'")
    expect(live.nth(1)).to_contain_text("| column 119 |")
    expect(page.locator("[data-live]")).to_contain_text("Step 0 · score 0.")
    expect(page.locator(".chat-user .chat-said").first).to_have_text(EVIL, use_inner_text=True)
    inert(page)
    assert [each["role"] for each in engine.asked[-1]["messages"]] == ["system", "user"]
    assert engine.asked[-1]["messages"][0]["content"] == f"Be {EVIL}"
    wanted = {"temperature": 0.3, "top_p": 0.8, "max_tokens": 77, "seed": vllm_seed(99)}
    assert {name: engine.asked[-1].get(name) for name in wanted} == wanted

    engine.go_on.set()
    answer = page.locator(".chat-assistant").last
    expect(answer.get_by_text("tokens written", exact=False)).to_be_visible()
    expect(answer.locator(".chat-answer")).to_contain_text("<script>document.title='taken'")
    expect(answer.locator("a", has_text="there").first).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(answer.locator("table")).to_have_count(1)
    inert(page)

    # Right to left where it is, also while it comes; the page itself stays as it was.
    engine.says(HEBREW, HEBREW)
    ask(page, HEBREW)
    expect(page.locator("[data-live]")).to_have_css("direction", "rtl")
    engine.go_on.set()
    expect(page.locator(".chat-assistant").last.locator(".chat-text")).to_have_css("direction", "rtl")
    expect(page.locator(".chat-user").last.locator(".chat-said")).to_have_css("direction", "rtl")
    expect(page.locator(".chat-assistant").last.locator(".chat-head")).to_have_css("direction", "ltr")
    check_page(page, "chat-hostile")

    # Others read the same; what they say of it is as harmless.
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_text("Evil ward can read it now.")).to_be_visible()
    where = page.url
    tree = studio.call(tree_said, conversation=where.rstrip("/").rpartition("/")[2], text=EVIL)
    sign_in(page, studio, "ned")
    page.goto(where)
    inert(page)
    said = page.locator(".chat-assistant").first
    said.get_by_role("button", name="Bad answer").click()
    said.get_by_label("Why you think so").fill(EVIL)
    with page.expect_response(lambda response: response.url.endswith("/rate/")):
        said.get_by_role("button", name="Save").click()
    page.goto(f"{where}messages/{tree}/tree/")
    expect(page.locator(".tree-drawing")).not_to_have_attribute("data-state", "loading")
    expect(page.locator(".tree-grid .tree-text").first).to_contain_text("<script>document.title='taken'")
    inert(page)
    sign_in(page, studio, "eve")
    page.goto(where)
    expect(page.locator(".chat-opinion")).to_contain_text("<script>document.title='taken'")
    inert(page)

    # A name, what is searched for, and what is taken along.
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("dialog").get_by_label("Title").fill(EVIL[:180])
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>document.title='taken'")
    inert(page)
    files = {}
    for kind in ("Markdown", "JSON"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name="More", exact=True).click()
            page.get_by_role("link", name=f"Export as {kind}").click()
        files[kind] = content_of(waiting.value)
    exported = json.loads(files["JSON"])["messages"]
    assert exported[0]["text"] == EVIL
    assert exported[1]["text"].startswith(f"Step 0: {EVIL}\ufffd\ufffd\ufffd[31m\ufffd\n\n")
    assert exported[1]["text"] in files["Markdown"] and EVIL in files["Markdown"]
    page.goto(f"{studio.url}/t/evil-ward/chat/")
    page.get_by_label("Search in conversations").fill("<script>document")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".chat-title")).to_have_count(1)
    inert(page)


def test_a_hundred_thousand_characters_each_way(studio: Studio, page: Page, engine: Script) -> None:
    begun(page, studio)
    line = f"{WORD[:70]} <b>{HEBREW}</b> {STEERS}\n"
    whole = (line * (1 + LONGEST_TEXT // len(line)))[:LONGEST_TEXT]
    engine.says(whole[: LONGEST_TEXT // 2], whole[LONGEST_TEXT // 2 :])
    ask(page, whole)
    expect(page.locator("[data-live]")).to_contain_text(HEBREW)
    inert(page)
    page.get_by_label("Your message").fill("The box still takes words.")
    engine.go_on.set()
    expect(page.locator(".chat-assistant").last.get_by_text("tokens written", exact=False)).to_be_visible()
    inert(page)
    kept = "all => all.map(each => each.textContent.length)"
    assert page.locator(".chat-user .chat-said").evaluate_all(kept) == [len(whole.rstrip())]
    assert page.locator(".chat-assistant .chat-text").evaluate_all(kept) == [len(whole)]
    expect(page.get_by_label("Your message")).to_have_value("The box still takes words.")
    expect(page.get_by_label("Your message")).to_be_in_viewport()
    page.reload()
    engine.says("Step 0: Short.\n\nStep 1: The answer is 3.")
    ask(page, "Still there?")
    expect(page.locator(".chat-answer")).to_have_count(1)


def test_side_by_side(studio: Studio, page: Page, engine: Script) -> None:
    sign_in(page, studio, "eve")
    page.goto(f"{studio.url}/t/evil-ward/chat/comparisons/")
    page.get_by_label("One model").select_option(label="Loud (remote)")
    page.get_by_label("Against").select_option(label="Louder (remote)")
    page.get_by_role("button", name="Begin").click()
    engine.says(f"Step 0: {EVIL}{NO_TEXT}\n\nStep 1: {TABLE}", f"\n\nStep 2: {DEEP} The answer is {WORD}{EVIL}")
    ask(page, EVIL)
    expect(page.locator("[data-live]", has_text="| column 119 |")).to_have_count(2)
    inert(page)
    engine.go_on.set()
    page.get_by_role("button", name="Right is better").click()
    expect(page.locator(".chat-answer")).to_have_count(2)
    expect(page.locator("#thread")).to_contain_text("Louder")
    inert(page)
