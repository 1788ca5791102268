"""The drawing of a tree: what it says is what the library says, by hand and by keys; files; growth."""

import re
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.browser import drawn
from tests.browser.guard import sign_in
from tests.browser.people import person
from tests.browser.searching import questions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

READY = "[data-drawing][data-state=ready]"
HEARD = """() => {
  window.chosen = [];
  document.addEventListener("tree:chosen", (event) => window.chosen.push(event.detail.node));
}"""


def said(page):
    return page.locator("[data-drawing-live]").inner_text()


def walk(page, key):
    """Press a key; what is said then."""
    live = "document.querySelector('[data-drawing-live]').textContent"
    before = page.evaluate(live)
    page.keyboard.press(key)
    page.wait_for_function(f"before => {live} !== before", arg=before)
    return said(page)


def figure(value):
    """Two digits as pages write them."""
    return str(Decimal(str(round(value, 9))).quantize(Decimal("0.01"), ROUND_HALF_UP))


def in_words(node):
    """What must be said of a node, from the library's figures."""
    parts = [f"Step {node['depth']}, {node['move']}"]
    if node["verdict"] is not None:
        parts.append("right answer" if node["verdict"] else "wrong answer")
    parts.append("no value" if node["value"] is None else f"value {figure(node['value'])}")
    if node["drop"] is not None and node["drop"] >= 0.3:
        parts.append(f"drops by {figure(node['drop'])}")
    if node["rollouts"]:
        parts.append(f"{node['right']} of {node['rollouts']} rollouts right")
    parts.append(f"{node['visits']} visit")
    return parts


def settled(page, node):
    """Where a node is drawn once nothing moves."""
    page.wait_for_timeout(450)
    return page.evaluate("node => studio.drawing.place(node)", node)


def test_a_tree_is_drawn_walked_folded_replayed_and_saved(studio, page, check_page, tmp_path):
    from playwright.sync_api import expect

    studio.call(person, username="dora", team="Drawers")
    made = studio.call(drawn.stored, team="Drawers", size=60)
    figures = studio.call(drawn.figures, tree=made["tree"])
    nodes, children = figures["nodes"], figures["children"]
    sign_in(page, studio, "dora")
    page.goto(f"{studio.url}/t/{made['team']}/trees/{made['tree']}/")
    page.wait_for_selector(READY)
    page.evaluate(HEARD)
    canvas = page.locator("[data-drawing-canvas]")

    # Keys alone reach every node, and each is said with the library's figures and its text.
    canvas.focus()
    heard = [walk(page, "ArrowRight")]
    order, path = [0], [0]
    while path:
        node = path[-1]
        if children[node]:
            following, key = children[node][0], "ArrowRight"
        else:
            following = None
            while len(path) > 1:
                row = children[path[-2]]
                place = row.index(path[-1])
                if place + 1 < len(row):
                    following, key = row[place + 1], "ArrowDown"
                    path.pop()
                    break
                path.pop()
                walk(page, "ArrowLeft")
            if following is None:
                break
        heard.append(walk(page, key))
        order.append(following)
        path.append(following)
    assert sorted(order) == list(range(60))
    for node, words in zip(order, heard, strict=True):
        for part in in_words(nodes[node]):
            assert part in words, f"node {node}: {words}"
        assert " ".join(nodes[node]["text"].split())[:60] in words
    page.wait_for_function("() => window.chosen.at(-1) === 0")
    assert "begins" in walk(page, "ArrowLeft")
    assert f"Step {nodes[59]['depth']}" in walk(page, "End")
    assert "Step 0" in walk(page, "Home")

    # Folding by key; the pointer chooses; the page chooses and dims.
    assert "59 steps folded" in walk(page, " ")
    assert page.evaluate("studio.drawing.state.layout.rows") == 0
    walk(page, "ArrowRight")
    assert page.evaluate("studio.drawing.state.collapsed.size") == 0
    page.get_by_role("button", name="Fit", exact=True).click()
    right = next(at for at, node in enumerate(nodes) if node["verdict"])
    place = settled(page, right)
    canvas.hover(position={"x": place["x"], "y": place["y"]})
    tip = page.locator("[data-drawing-tip]")
    expect(tip).to_contain_text("right answer")
    expect(tip).to_contain_text(figure(nodes[right]["value"] * 0.9))  # the reward model's score
    canvas.click(position={"x": place["x"], "y": place["y"]})
    page.wait_for_function("node => window.chosen.at(-1) === node", arg=right)
    count = page.evaluate("window.chosen.length")
    page.evaluate("document.dispatchEvent(new CustomEvent('tree:choose', { detail: { node: 5 } }))")
    assert page.evaluate("[studio.drawing.state.chosen, window.chosen.length]") == [5, count]
    page.evaluate("document.dispatchEvent(new CustomEvent('tree:marked', { detail: { nodes: [1, 2] } }))")
    assert page.evaluate("[...studio.drawing.state.marked].reduce((one, other) => one + other)") == 2
    page.evaluate("document.dispatchEvent(new CustomEvent('tree:marked', { detail: { nodes: null } }))")

    # The wheel is the page's until the drawing has the focus.
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    before = settled(page, 0)["k"]
    canvas.hover(position={"x": 300, "y": 200})
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(200)
    assert page.evaluate("studio.drawing.place(0).k") == before
    canvas.focus()
    page.mouse.move(301, 301)
    canvas.hover(position={"x": 300, "y": 200})
    for _ in range(6):
        page.mouse.wheel(0, -240)
    page.wait_for_function("before => studio.drawing.place(0).k > before * 1.5", arg=before)
    expect(page.locator("[data-drawing-minimap]")).to_be_visible()
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(page.locator("[data-drawing-minimap]")).to_be_hidden()

    # Replay: the scrubber, then to the end by itself.
    scrubber = page.get_by_label("Steps in order of growth")
    scrubber.fill("20")
    assert page.evaluate("studio.drawing.state.shown") == 20
    page.get_by_label("Speed of the replay").select_option("10")
    page.get_by_role("button", name="Replay the growth").click()
    expect(page.locator("[data-replay-count]")).to_have_text("60 of 60")

    # Files.
    with page.expect_download() as svg:
        page.get_by_role("button", name="SVG").click()
    svg.value.save_as(tmp_path / "tree.svg")
    assert svg.value.suggested_filename == "tree-1.svg"
    drawing = (tmp_path / "tree.svg").read_text(encoding="utf-8")
    from xml.etree import ElementTree

    ElementTree.fromstring(drawing)
    words = re.findall(r">([^<>]+)</text>", drawing)
    for node in nodes:
        text = " ".join(node["text"].split())
        assert any(text.startswith(each.removesuffix("…")) and len(each) > 10 for each in words), text
    assert sum(words.count(f"−{_short(node['drop'])}") > 0 for node in nodes if (node["drop"] or 0) >= 0.3) == sum(
        (node["drop"] or 0) >= 0.3 for node in nodes
    )
    with page.expect_download() as png:
        page.get_by_role("button", name="PNG").click()
    png.value.save_as(tmp_path / "tree.png")
    assert (tmp_path / "tree.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    page.locator(".drawing-legend summary").click()
    check_page(page, "tree-drawing")
    _by_fingers(page, nodes)


def _by_fingers(page, nodes):
    """The same tree on a tablet: one finger drags it, two zoom it where they are, a tap alone chooses."""
    context = page.context.browser.new_context(
        has_touch=True, viewport={"width": 820, "height": 1180}, storage_state=page.context.storage_state()
    )
    tablet = context.new_page()
    tablet.goto(page.url)
    tablet.wait_for_selector(READY)
    tablet.evaluate(HEARD)
    canvas = tablet.locator("[data-drawing-canvas]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    hand = context.new_cdp_session(tablet)

    def touch(kind, *fingers):
        points = [{"x": box["x"] + x, "y": box["y"] + y, "id": number} for number, (x, y) in enumerate(fingers)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch(x, y, begin, end):
        touch("touchStart", (x - begin, y))
        touch("touchStart", (x - begin, y), (x + begin, y))
        for way in range(1, 17):
            apart = begin + (end - begin) * way / 16
            touch("touchMove", (x - apart, y), (x + apart, y))
        touch("touchEnd")

    scrolled = tablet.evaluate("scrollY")
    before = settled(tablet, 7)
    pinch(400, 220, 40, 80)
    near = settled(tablet, 7)
    assert near["k"] == pytest.approx(2 * before["k"], rel=0.1)

    touch("touchStart", (300, 200))
    for way in range(10, 61, 10):
        touch("touchMove", (300 + way, 200 + way / 2))
    touch("touchEnd")
    dragged = settled(tablet, 7)
    assert dragged["k"] == near["k"]
    assert (dragged["x"] - near["x"], dragged["y"] - near["y"]) == pytest.approx((60, 30), abs=12)
    assert tablet.evaluate("scrollY") == scrolled  # the finger was the drawing's

    pinch(400, 220, 90, 60)
    after = settled(tablet, 7)
    assert after["k"] == pytest.approx(2 / 3 * near["k"], rel=0.1)
    assert after["y"] - 220 == pytest.approx(2 / 3 * (dragged["y"] - 220), abs=25)  # where the fingers are, it stays
    assert tablet.evaluate("window.chosen") == []

    tablet.get_by_role("button", name="Fit", exact=True).tap()
    right = next(at for at, node in enumerate(nodes) if node["verdict"])
    place = settled(tablet, right)
    canvas.tap(position={"x": place["x"] + 3, "y": place["y"] - 3})
    tablet.wait_for_function("node => window.chosen.at(-1) === node", arg=right)
    context.close()


def _short(value):
    text = figure(value)
    return "1" if text == "1.00" else text.replace("0.", ".")


def test_a_drawing_that_cannot_be_loaded_says_so_and_tries_again(studio, page):
    from playwright.sync_api import expect

    studio.call(person, username="erik", team="Failing")
    made = studio.call(drawn.stored, team="Failing", size=20)
    sign_in(page, studio, "erik")
    page.route("**/drawing/", lambda route: route.fulfill(status=200, content_type="text/html", body="gone"))
    page.goto(f"{studio.url}/t/{made['team']}/trees/{made['tree']}/")
    expect(page.get_by_text("The drawing could not be loaded")).to_be_visible()
    page.unroute("**/drawing/")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(READY)


def test_a_tree_is_watched_while_it_grows(studio, page, check_page):
    from playwright.sync_api import expect

    studio.call(person, username="flora", team="Growers")
    made = studio.call(drawn.growing, team="Growers")
    sign_in(page, studio, "flora")
    page.goto(f"{studio.url}/t/{made['team']}/searches/{made['search']}/growing/0/")
    expect(page.get_by_text("This question waits for a worker.")).to_be_visible()
    check_page(page, "tree-waiting")
    studio.call(drawn.grow_to, search=made["search"], size=12)
    page.wait_for_selector(READY)
    page.wait_for_function("() => studio.drawing.state.model.size === 12")
    expect(page.locator("#growing-steps tbody tr")).to_have_count(12)
    page.locator("[data-drawing-canvas]").focus()
    walk(page, "ArrowRight")
    walk(page, "ArrowRight")
    expect(page.locator("#node-1")).to_have_class(re.compile("table-active"))
    studio.call(drawn.grow_to, search=made["search"], size=30)
    page.wait_for_function("() => studio.drawing.state.model.size === 30")
    expect(page.get_by_text("29 steps so far")).to_be_visible()
    expect(page.locator("#growing-steps tbody tr")).to_have_count(30)
    assert page.evaluate("studio.drawing.state.chosen") == 1
    check_page(page, "tree-growing")
    finished = studio.call(drawn.grow_to, search=made["search"], size=40, finish=True)
    expect(page.get_by_text("The tree is finished.")).to_be_visible()
    page.wait_for_function("() => studio.drawing.state.model.size === 40")
    page.get_by_role("link", name="Open its page").click()
    page.wait_for_url(re.compile(finished))
    page.wait_for_selector(READY)


def test_a_real_search_is_watched_from_its_first_step_to_the_end(studio, page):
    """By a real worker: whatever it writes, the drawing ends as the tree that is stored."""
    from playwright.sync_api import expect

    studio.call(person, username="gerd", team="Searching")
    slug = studio.call(questions, team="Searching", count=1)
    sign_in(page, studio, "gerd")
    page.goto(f"{studio.url}/t/{slug}/searches/new/")
    page.get_by_label("Name", exact=True).fill("Watched")
    page.get_by_role("button", name="Start the search").click()
    expect(page.get_by_role("heading", name="Watched")).to_be_visible()
    search = page.url.split("?")[0]
    studio.start_worker("gpu")
    studio.call(drawn.wait_for_questions, search=search.rstrip("/").rpartition("/")[2])
    page.goto(f"{search}growing/0/")
    if "/growing/" in page.url:  # else it is finished already
        expect(page.get_by_text("The tree is finished.")).to_be_visible(timeout=240_000)
        page.wait_for_selector(READY)
        page.get_by_role("link", name="Open its page").click()
        page.wait_for_url(re.compile("/trees/"))
    page.wait_for_selector(READY)
    figures = studio.call(drawn.figures, tree=page.url.split("#")[0].rstrip("/").rpartition("/")[2])
    shown = page.evaluate("studio.drawing.state.model.size")
    assert shown == len(figures["nodes"])
    assert page.evaluate("[...studio.drawing.state.model.visits]") == [node["visits"] for node in figures["nodes"]]
    page.locator("[data-drawing-canvas]").focus()
    words = walk(page, "Home")
    for part in in_words(figures["nodes"][0]):
        assert part in words
