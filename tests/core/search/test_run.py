"""Runs that are killed, cancelled, continued, enlarged, or mistaken for another."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time

import pytest

from meds3core.engines.scripted import ScriptedEngine
from meds3core.errors import ConfigError, EngineError, UserError
from meds3core.search.grow import grow, provenance
from meds3core.search.run import SearchManifest, run_search
from tests.core.search.kill_child import search
from tests.core.search.toy import likelihood, make_question, make_tools, respond, small_config


def read(folder):
    return (folder / "trees.jsonl").read_bytes()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    result = asyncio.run(search(folder, 60))
    assert (result.trees, result.failures, result.reused) == (60, 0, 0)
    return read(folder)


def test_trees_lie_in_question_order_and_nothing_half_written_stays(tmp_path):
    asyncio.run(search(tmp_path, 30))
    assert files(tmp_path) == ["search.json", "trees.jsonl"]
    ids = [json.loads(line)["question"]["id"] for line in read(tmp_path).splitlines()]
    assert ids == [f"toy-{number}" for number in range(30)]


@pytest.mark.slow
def test_killed_at_twenty_random_moments_and_resumed_gives_the_same_file(tmp_path, undisturbed):
    rng = random.Random(5)
    command = [sys.executable, "-m", "tests.core.search.kill_child", str(tmp_path), "60"]
    kills = 0
    for _ in range(20):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.25))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
        child.stdout.close()
    assert kills >= 10, "the search is too quick to be killed: raise its latency"
    subprocess.run(command, check=True, capture_output=True)
    assert read(tmp_path) == undisturbed
    assert files(tmp_path) == ["search.json", "trees.jsonl"]


def test_a_line_cut_anywhere_is_dropped_and_grown_again(tmp_path, undisturbed):
    asyncio.run(search(tmp_path, 60))
    whole = read(tmp_path)
    for cut in (len(whole) - 1, len(whole) // 2, len(whole) // 3):
        (tmp_path / "trees.jsonl").unlink()
        (tmp_path / "trees.partial.jsonl").write_bytes(whole[:cut])
        result = asyncio.run(search(tmp_path, 60))
        assert result.trees == 60 and result.reused == whole[:cut].count(b"\n")
        assert read(tmp_path) == undisturbed


def test_cancelling_keeps_what_is_finished(tmp_path, undisturbed):
    async def cancelled():
        work = asyncio.create_task(search(tmp_path, 60, latency=0.01))
        await asyncio.sleep(0.15)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert "trees.jsonl" not in files(tmp_path)
    assert asyncio.run(search(tmp_path, 60)).reused > 0
    assert read(tmp_path) == undisturbed


def test_more_questions_continue_a_finished_run(tmp_path, undisturbed):
    asyncio.run(search(tmp_path, 20))
    assert asyncio.run(search(tmp_path, 60)).reused == 20
    assert read(tmp_path) == undisturbed


def test_a_finished_run_is_left_as_it_is(tmp_path, undisturbed):
    asyncio.run(search(tmp_path, 60))
    assert asyncio.run(search(tmp_path, 60)).reused == 60
    assert read(tmp_path) == undisturbed


def test_fewer_questions_would_lose_trees_and_are_refused(tmp_path):
    asyncio.run(search(tmp_path, 20))
    before = read(tmp_path)
    with pytest.raises(ConfigError, match="not asked for"):
        asyncio.run(search(tmp_path, 10))
    assert read(tmp_path) == before


def run_with(folder, tools, questions, **options):
    manifest = SearchManifest(provenance=provenance(tools), config=tools.config.model_dump(mode="json"))
    return asyncio.run(run_search(questions, lambda q: grow(q, tools), manifest, folder, concurrency=4, **options))


def test_another_configuration_or_seed_is_refused_by_name(tmp_path):
    asyncio.run(search(tmp_path, 3))
    questions = [make_question(number) for number in range(3)]
    with pytest.raises(ConfigError, match=r"config\.max_nodes there 24, here 5"):
        run_with(tmp_path, make_tools(small_config(max_nodes=5)), questions)
    with pytest.raises(ConfigError, match=r"provenance\.seed there 7, here 8"):
        run_with(tmp_path, make_tools(seed=8), questions)


def test_a_changed_question_is_refused(tmp_path):
    asyncio.run(search(tmp_path, 3))
    questions = [make_question(0), make_question(1).model_copy(update={"text": "changed"}), make_question(2)]
    with pytest.raises(ConfigError, match="'toy-1' has changed"):
        run_with(tmp_path, make_tools(), questions)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "trees.jsonl").write_text("mine\n")
    with pytest.raises(ConfigError, match=r"no search\.json"):
        asyncio.run(search(tmp_path, 3))
    assert (tmp_path / "trees.jsonl").read_text() == "mine\n"


def test_duplicate_ids_are_refused(tmp_path):
    with pytest.raises(UserError, match="share an id"):
        run_with(tmp_path, make_tools(), [make_question(1), make_question(1)])


def test_failures_are_recorded_kept_and_retried_on_request(tmp_path):
    broken = True

    def respond_or_fail(request):
        if broken and "Patient 2 " in request.prompt.messages[-1].content:
            return EngineError("out of memory")
        return respond(request)

    def call(**options):
        engine = ScriptedEngine(respond_or_fail, likelihood=likelihood)
        return run_with(tmp_path, make_tools(engine=engine), [make_question(n) for n in range(5)], **options)

    result = call()
    assert (result.trees, result.failures) == (4, 1)
    assert json.loads((tmp_path / "failures.jsonl").read_text()) == {
        "id": "toy-2",
        "code": "engine",
        "reason": "out of memory",
    }
    broken = False
    assert call().failures == 1, "not tried again unless asked to"
    result = call(retry_failed=True)
    assert (result.trees, result.failures, result.reused) == (5, 0, 4)
    assert files(tmp_path) == ["search.json", "trees.jsonl"]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 10, 17])
def test_no_question_is_lost_whatever_the_concurrency(tmp_path, count):
    """The published sharding of 10 items over 8 chunks lost 5."""
    assert asyncio.run(search(tmp_path, count)).trees == count
