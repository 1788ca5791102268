"""What browser tests of the work page share: waiting for steps, for savings, and a look at what the device keeps."""

QUIET = 600
"""Milliseconds after which a key is no longer taken for one meant for the step before."""


def opened(page, studio, slug, queue):
    """The work page with its first step, instructions read."""
    page.goto(f"{studio.url}/t/{slug}/queues/{queue}/work/")
    page.locator("[data-work][data-item]").wait_for()
    if page.get_by_role("dialog", name="Instructions").is_visible():
        page.get_by_role("button", name="I have read this").press("Enter")
    page.wait_for_timeout(QUIET)


def shown(page):
    """The id of the step that is shown."""
    return page.locator("[data-work]").get_attribute("data-item")


def following(page, last):
    """Wait for another step than the last."""
    page.wait_for_function(
        "last => ![last, undefined].includes(document.querySelector('[data-work]').dataset.item)", arg=last
    )
    page.wait_for_timeout(QUIET)


def at(page, item):
    """Wait for this step."""
    page.wait_for_function("item => document.querySelector('[data-work]').dataset.item === item", arg=item)
    page.wait_for_timeout(QUIET)


def judging(page):
    """Wait until the step that is shown can be judged."""
    page.locator("[data-work][data-phase=judging]").wait_for()
    page.wait_for_timeout(QUIET)


def keeps(page, count, store="entries"):
    """Wait until the device keeps so many things; a busy one takes its time."""
    for _ in range(100):
        if kept(page, store) == count:
            return
        page.wait_for_timeout(100)
    assert kept(page, store) == count


def saved(page):
    """Wait until the server has everything. (`wait_for_function` takes any promise for true.)"""
    page.wait_for_timeout(200)
    for _ in range(600):
        if page.evaluate("window.studio.outbox.waiting().then(waiting => waiting.length)") == 0:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the outbox is not empty after a minute")


def becomes(page, look, wanted):
    """Wait until a look at the server gives what is wanted."""
    for _ in range(300):
        if look() == wanted:
            return
        page.wait_for_timeout(200)
    assert look() == wanted, page.evaluate("window.studio.outbox.waiting()")


def kept(page, store="entries"):
    """How many things the device keeps."""
    return page.evaluate(
        """store => new Promise(done => {
            const open = indexedDB.open("meds3-judgements");
            open.onsuccess = () => {
                const all = open.result.transaction(store).objectStore(store).getAll();
                all.onsuccess = () => { open.result.close(); done(all.result.length); };
            };
        })""",
        store,
    )
