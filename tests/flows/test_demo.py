"""`meds3 demo` as a person sees it: interrupted in the middle, called again, it goes on and ends with its table; then
the best model that it made is talked with, on its page and from a program.
"""

import json
import shutil

import pytest
import requests
from openai import OpenAI

from tests.core.evolution.small import small_config
from tests.workers.embedded import Foreground, left_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_loop_through_the_queue_interrupted_gone_on_with_and_talked_with(tmp_path):
    home, settings = tmp_path / "home", tmp_path / "settings.json"
    content = json.loads(small_config(iterations=1, control="never", dpo_after="never").model_dump_json())
    content["questions"]["quotas"]["count"] = 4
    settings.write_text(json.dumps(content))
    call = ("demo", "--train", "8", "--held-out", "3", "--settings", str(settings))

    with Foreground(home, *call) as demo:
        url = demo.url()
        page = demo.until("/evolutions/")
        assert requests.get(page).url.startswith(f"{url}/accounts/login/")
        demo.until("search-1")
        demo.until(" is done after ")
        assert demo.interrupt() == 0
    assert any("1 running job may save its place" in line for line in demo.said)
    assert left_running(home) == []

    with Foreground(home, *call) as again:
        url, link = again.url(), again.until("/sign-in/link/#").strip()
        assert again.until("/evolutions/").split("/t/")[1] == page.split("/t/")[1]  # the same job
        again.until("right answers")
        again.until("base")
        again.until("3 questions")
        if chromium := shutil.which("chromium"):
            talked_with(url, link, chromium)
        assert again.interrupt() == 0
    assert not any("Submitted by" in line for line in again.said)
    assert left_running(home) == []
    if not chromium:
        pytest.skip("no Chromium: what the loop made was not talked with")

    with Foreground(home, *call, "--exit-when-done") as finished:
        finished.until("right answers")
        assert finished.ended() == 0
    assert left_running(home) == []


def talked_with(url: str, link: str, chromium: str) -> None:
    """From the terminal's link to the best model that the team has, a scored answer of it, and the same by `/v1`."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)
        page.goto(link)
        page.get_by_role("link", name="Models", exact=True).click()
        page.get_by_role("link", name="Process reward model").click()
        page.get_by_label("Whose").select_option("own")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".model-name a")).to_have_count(1)
        scorer = page.locator(".model-name a").inner_text()
        page.get_by_role("link", name="Policy").click()
        page.get_by_label("Whose").select_option("own")
        page.get_by_label("Order").select_option("best")
        page.get_by_role("button", name="Show").click()
        page.locator(".model-name a").first.click()
        page.get_by_role("button", name="Chat", exact=True).click()
        expect(page.get_by_text(f"steps scored by {scorer}")).to_be_visible()

        page.get_by_role("button", name="Settings").click()
        page.get_by_role("dialog").get_by_text("More settings").click()
        page.get_by_role("dialog").get_by_label("Seed", exact=False).fill("11")
        page.get_by_role("dialog").get_by_label("Tokens at most", exact=False).fill("160")
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        heard: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
        page.reload()
        page.locator("[data-example]").first.click()  # of those that it was measured on
        page.get_by_label("Your message").press("Enter")
        expect(page.locator(".chat-assistant").get_by_text("tokens written", exact=False)).to_be_visible()
        news = [each for each in map(json.loads, heard) if each["type"] == "news"]
        assert len([each for each in news if each["text"] and not each["whole"]]) > 2, "it came bit by bit"
        assert any(score is not None for each in news for score in each.get("scores", ())), "and was scored meanwhile"
        expect(page.locator(".chat-step .badge").first).to_contain_text("score ")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="More", exact=True).click()
            page.get_by_role("link", name="Export as JSON").click()
        asked, answer = json.loads(waiting.value.path().read_text())["messages"]

        team = page.url.split("/t/")[1].split("/")[0]
        page.get_by_role("link", name="API tokens").click()
        page.get_by_role("textbox", name="Name").fill("Notebook")
        page.get_by_label("Talk with models").check()
        page.get_by_role("button", name="Make the token").click()
        key = page.get_by_label("Token", exact=True).input_value()
        browser.close()

    model, judge = (f"{team}/{'@'.join(name.rsplit(' ', 1))}" for name in (answer["model"], scorer))
    client = OpenAI(base_url=f"{url}/v1", api_key=key)
    assert model in [each.id for each in client.models.list()]
    said = {
        "model": model,
        "messages": [{"role": "user", "content": asked["text"]}],
        "extra_body": {"meds3": {"reasoning": "inline", "scorer": judge}},
        **{name: answer["config"][name] for name in ("seed", "max_tokens", "temperature", "top_p")},
    }
    assert (said["seed"], said["max_tokens"]) == (11, 160)
    whole = client.chat.completions.create(**said).choices[0].message
    assert whole.content == answer["text"]
    scores = [score for _, _, score in answer["steps"]]
    assert [each["score"] for each in whole.meds3["steps"]] == pytest.approx(scores, abs=1e-4)
    pieces = client.chat.completions.create(**said, stream=True)
    assert "".join(each.choices[0].delta.content or "" for each in pieces if each.choices) == answer["text"]
