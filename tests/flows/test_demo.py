"""`meds3 demo` as a person sees it: interrupted in the middle, called again, it goes on and ends with its table."""

import json

import pytest
import requests

from tests.core.evolution.small import small_config
from tests.workers.embedded import Foreground, left_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_loop_through_the_queue_interrupted_and_gone_on_with(tmp_path):
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

    with Foreground(home, *call, "--exit-when-done") as again:
        assert again.until("/evolutions/").split("/t/")[1] == page.split("/t/")[1]  # the same job
        again.until("right answers")
        again.until("base")
        assert again.ended() == 0
    assert not any("Submitted by" in line for line in again.said)
    assert "3 questions" in "".join(again.said)
    assert left_running(home) == []
