"""From judgements to a better reward model through the pages: labels, one button, what it was worth; files in."""

import re

import pytest

from tests.browser.guard import sign_in
from tests.browser.judged import judged_team
from tests.browser.people import person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_labels_of_people_retrain_a_reward_model_with_one_button(studio, page, check_page, tmp_path):
    from playwright.sync_api import expect

    studio.call(person, username="lotte", team="Wards")
    found = studio.call(judged_team, team="Wards")
    sign_in(page, studio, "lotte")
    team = f"{studio.url}/t/wards"

    page.goto(f"{team}/labels/")
    expect(page.get_by_role("row", name=re.compile("by people"))).to_be_visible()
    page.get_by_role("link", name="From judgements").click()
    check_page(page, "judged-labels-new")
    page.get_by_label("Queues").select_option(label="Doses")
    page.get_by_role("button", name="Show what it would hold").click()
    expect(page.get_by_text("9: 6 good, 3 bad")).to_be_visible()
    expect(page.get_by_text("3 steps on which people are divided (rule)")).to_be_visible()
    check_page(page, "judged-labels-preview")

    page.goto(f"{team}/labels/{found['labels']}/")
    expect(page.get_by_text("a right trajectory").first).to_be_visible()
    check_page(page, "label-set-judged")
    button = page.get_by_role("button", name="Retrain the PRM with these labels")
    expect(page.get_by_label("Process reward model")).to_contain_text("Ward PRM v1 (candidate)")
    button.click()
    expect(page.get_by_role("heading", name="Ward PRM, with people's labels")).to_be_visible()
    check_page(page, "training-run-retrain")

    page.goto(f"{team}/models/{found['model']}/")
    for steps, count in (("steps that chance chose", "12 steps of 11"), ("all kept out steps", "70 steps of 40")):
        worth = page.get_by_role("region", name=f"What people's labels changed: {steps}")
        expect(worth.get_by_role("row")).to_have_count(4)
        expect(worth).to_contain_text("+0.060 [+0.010, +0.110]")
        expect(worth).to_contain_text(count)
    expect(page.get_by_text("The 12 steps that chance chose stand for all steps.")).to_be_visible()
    expect(page.get_by_text("against Ward PRM v1")).to_be_visible()
    check_page(page, "model-worth")

    page.goto(f"{team}/training/new/prm/")
    expect(page.get_by_label("More label sets, learnt from together")).to_be_visible()
    check_page(page, "training-new-prm")

    page.goto(f"{team}/queues/{found['queue']}/import/")
    check_page(page, "judgement-import")
    page.get_by_role("button", name="Bring them in").click()
    expect(page.get_by_text("Choose a file first.")).to_be_visible()
    file = tmp_path / "said.jsonl"
    file.write_text('{"a": 1}\n')
    page.get_by_label("File of judgements").set_input_files(file)
    page.get_by_role("button", name="Bring them in").click()
    expect(page.get_by_role("heading", name=re.compile("Judgements into Doses"))).to_be_visible()
