"""lm-evaluation-harness, from an environment of its own, measures a model through the OpenAI-compatible API.

The environment is made once, under runs/lm-eval; MEDS3_LM_EVAL names the Python of another one. Where it cannot be
installed the test is skipped, and says so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from openai import OpenAI

from meds3core.sandbox.questions import generate
from tests.web.people import World, token
from tests.workers.stack import running_stack, wait_for
from tests.workers.test_chat_kills import _answers
from webapp.accounts.rules import Role
from webapp.registry.bundled import bundled_ensure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]

FOLDER = Path(__file__).parents[2] / "runs" / "lm-eval"
VERSION = "0.4.13"
TASK = """
task: clinic_local
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  max_gen_toks: 200
  temperature: 0
  do_sample: false
filter_list:
  - name: stated
    filter:
      - function: regex
        regex_pattern: "The answer is (.*?)\\\\.?$"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture(scope="module")
def harness() -> str:
    """The Python that has it."""
    given = os.environ.get("MEDS3_LM_EVAL")
    if given:
        return given
    python = FOLDER / "bin" / "python"
    if not (FOLDER / "complete").exists():
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], capture_output=True, text=True)
        wanted = [f"lm-eval[api]=={VERSION}"]
        if made.returncode == 0:
            made = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"lm-eval {VERSION} cannot be installed here: {made.stderr.strip().splitlines()[-1:]}")
        (FOLDER / "complete").touch()
    return str(python)


def test_the_harness_measures_what_the_official_client_hears(harness, tmp_path, transactional_db):
    cache.clear()
    world = World().built()
    policy = bundled_ensure()
    questions = generate("test", 6, seed=11)
    file, task = tmp_path / "questions.jsonl", tmp_path / "clinic_local.yaml"
    rows = [{"question": each.text, "answer": each.gold.value} for each in questions]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task.write_text(TASK.format(file=file))
    with running_stack(tmp_path) as stack:
        stack.start_chat()
        url = stack.start_web()
        wait_for(lambda: _answers(url), "the pages")
        key = token(world.by_role[Role.OWNER], world.team, Role.OWNER)
        client = OpenAI(base_url=f"{url}/v1", api_key=key)
        name = next(each.id for each in client.models.list() if policy.name in each.id)
        heard = [_stated(client, name, each.text) for each in questions]
        options = (
            f"model={name},base_url={url}/v1/chat/completions,num_concurrent=2,max_retries=2,tokenized_requests=False"
        )
        command = [
            harness, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", options,
            "--include_path", str(tmp_path), "--tasks", "clinic_local", "--apply_chat_template",
            "--output_path", str(tmp_path / "out"), "--log_samples",
        ]  # fmt: skip
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MEDS3_", "DJANGO_"))
        }
        alone = clean | {"OPENAI_API_KEY": key, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=alone, cwd=tmp_path, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
    (result,) = (tmp_path / "out").rglob("results_*.json")
    share = json.loads(result.read_text())["results"]["clinic_local"]["exact_match,stated"]
    right = sum(said == each.gold.value for said, each in zip(heard, questions, strict=True))
    assert share == pytest.approx(right / len(questions))
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    told = {(row := json.loads(line))["doc"]["question"]: row["filtered_resps"][0] for line in samples.open()}
    assert [told[each.text] for each in questions] == [said or "[invalid]" for said in heard]


def _stated(client: OpenAI, model: str, question: str) -> str:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=200
    )
    content = answer.choices[0].message.content
    return content.removeprefix("The answer is ").rstrip(".") if content.startswith("The answer is ") else ""
