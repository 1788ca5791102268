"""Graphs of cheap real stages: what runs, what is reused, how they fail, and that nothing stays behind."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from meds3core.errors import Cancelled
from meds3core.evolution import run as runner
from meds3core.evolution.graph import External, Stage, StageRef, plan
from meds3core.evolution.run import StageFailed, StageRefused, run_graph
from meds3core.evolution.store import StageRecord
from meds3core.progress import CancelToken, ProgressEvent
from tests.core.evolution.cheap import ADD, FAULT, AddStage, FaultStage
from tests.core.evolution.test_graph import diamond


class Heard:
    """Keeps events; may do something at one of them."""

    def __init__(self, at=None, do=None):
        self.events, self.at, self.do = [], at, do

    def emit(self, event: ProgressEvent) -> None:
        self.events.append(event)
        if self.at and self.at(event):
            self.do()

    def started(self) -> list[str]:
        return [event.data["stage"] for event in self.events if event.kind == "stage-started"]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(*pids: int) -> bool:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_results_figures_and_records(tmp_path):
    number = tmp_path / "number.txt"
    number.write_text("40")
    stages = [Stage("only", ADD, AddStage(plus=2, ticks=3), {"from": External(number)})]
    heard = Heard()
    result = run_graph(stages, tmp_path / "store", threads=3, sink=heard)["only"]
    assert (result.figures["sum"], result.figures["threads"]) == (42, "3")
    assert (result.folder / "sum.txt").read_text() == "42"
    record = StageRecord.model_validate_json((result.folder / "stage.json").read_bytes())
    assert (record.name, record.kind, record.key, record.resumed) == ("only", "add", result.key, False)
    assert record.libraries["python"] and record.settings["plus"] == 2
    assert record.files == {"sum.txt": 2, "ticks.txt": 3}
    ticks = [event for event in heard.events if event.kind == "tick"]
    assert [(event.done, event.total, event.data) for event in ticks] == [(n, 3, {"stage": "only"}) for n in (1, 2, 3)]


def test_a_second_run_does_nothing_and_a_change_runs_only_dependants(tmp_path):
    first = run_graph(diamond(), tmp_path, parallel=2)
    assert not any(result.cached for result in first.values())
    heard = Heard()
    again = run_graph(diamond(), tmp_path, sink=heard)
    assert heard.started() == [] and all(result.cached for result in again.values())
    assert {n: r.figures for n, r in again.items()} == {n: r.figures for n, r in first.items()}
    heard = Heard()
    changed = run_graph(diamond(left=AddStage(plus=20)), tmp_path, sink=heard)
    assert heard.started() == ["left", "last"]
    assert changed["last"].figures["sum"] == first["last"].figures["sum"] + 18
    heard = Heard()
    run_graph(diamond(), tmp_path, sink=heard)  # both results are kept
    assert heard.started() == []


def test_equal_work_under_two_names_runs_once(tmp_path):
    stages = [Stage("a", ADD, AddStage(plus=5, ticks=2)), Stage("b", ADD, AddStage(plus=5, ticks=2))]
    heard = Heard()
    results = run_graph(stages, tmp_path, parallel=2, sink=heard)
    assert len(heard.started()) == 1
    assert results["a"].figures == results["b"].figures and results["b"].name == "b"


def test_results_do_not_depend_on_how_many_run_at_once(tmp_path):
    sums = []
    for parallel in (1, 3):
        results = run_graph(diamond(), tmp_path / str(parallel), parallel=parallel)
        sums.append({name: (result.key, result.figures["sum"]) for name, result in results.items()})
    assert sums[0] == sums[1]


@pytest.mark.parametrize("gpu", [False, True])
def test_stages_are_forked_off_a_warm_process_unless_there_is_a_gpu(tmp_path, monkeypatch, gpu):
    monkeypatch.setattr(runner, "gpu_present", lambda: gpu)
    stages = [
        Stage("one", ADD, AddStage(plus=1)),
        Stage("two", ADD, AddStage(plus=2)),
        Stage("both", ADD, AddStage(), {"from": (StageRef("one", "sum.txt"), StageRef("two", "sum.txt"))}),
    ]
    results = run_graph(stages, tmp_path, parallel=2, threads=2)
    assert results["both"].figures["sum"] == 3
    assert results["one"].figures["threads"] == "2"
    parents = {results[name].figures["parent"] for name in results}
    assert (parents == {os.getpid()}) == gpu


def test_the_longest_chain_goes_first(tmp_path):
    stages = [
        Stage("aside", ADD, AddStage(plus=1), units=5),
        Stage("chain-1", ADD, AddStage(plus=2), units=2),
        Stage("chain-2", ADD, AddStage(plus=3), {"from": StageRef("chain-1", "sum.txt")}, units=2),
        Stage("chain-3", ADD, AddStage(plus=4), {"from": StageRef("chain-2", "sum.txt")}, units=2),
    ]
    heard = Heard()
    run_graph(stages, tmp_path, sink=heard)
    assert heard.started() == ["chain-1", "aside", "chain-2", "chain-3"]


def test_a_long_stage_aside_does_not_take_the_place_of_two_urgent_ones(tmp_path):
    halves = {"from": StageRef("first", "sum.txt")}
    stages = [
        Stage("first", ADD, AddStage(plus=1, ticks=20), units=2),
        Stage("half-1", ADD, AddStage(plus=2), halves, units=90),
        Stage("half-2", ADD, AddStage(plus=3), halves, units=90),
        Stage("aside", ADD, AddStage(plus=4), units=60),
    ]
    heard = Heard()
    run_graph(stages, tmp_path, parallel=2, sink=heard)
    assert heard.started() == ["first", "half-1", "half-2", "aside"]
    chain = [stages[0], stages[1], stages[3]]
    heard = Heard()
    run_graph(chain, tmp_path / "chain", parallel=2, sink=heard)
    assert heard.started() == ["first", "aside", "half-1"], "a place stayed empty though the chain needs but one"


@pytest.mark.parametrize("gpu", [False, True], ids=["forked", "from-scratch"])
@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("user", StageRefused, ["stage bad (fault)", "plus and minus conflict"]),
        ("disk", StageRefused, ["stage bad (fault)", "no space is left"]),
        ("ours", StageFailed, ["stage bad (fault) failed", "ValueError at cheap.py", "log.txt"]),
        ("crash", StageFailed, ["stage bad (fault) failed", "SIGABRT", "log.txt"]),
    ],
)
def test_a_failing_stage_names_itself_and_stops_the_others(tmp_path, monkeypatch, gpu, fault, error, words):
    monkeypatch.setattr(runner, "gpu_present", lambda: gpu)
    stages = [
        Stage("good", ADD, AddStage(plus=1, ticks=2000)),
        Stage("bad", FAULT, FaultStage(fault=fault)),
        Stage("after", ADD, AddStage(), {"from": StageRef("bad", "sum.txt")}),
    ]
    with pytest.raises(error) as raised:
        run_graph(stages, tmp_path, parallel=2)
    assert all(word in str(raised.value) for word in words)
    assert "must not be shown" not in str(raised.value)
    assert raised.value.exit_code == (2 if error is StageRefused else 1)
    assert [path.name for path in tmp_path.glob("*/stage.json")] == []
    logs = "".join(path.read_text() for path in tmp_path.glob("fault-*/log.txt"))
    assert ("Traceback" in logs) == (fault == "ours")


def test_the_code_of_a_users_error_is_kept(tmp_path):
    with pytest.raises(StageRefused) as raised:
        run_graph([Stage("bad", FAULT, FaultStage(fault="user"))], tmp_path)
    assert raised.value.code == "config"
    assert StageRefused.code == "user-error"


def test_cancel_stops_and_the_same_call_continues(tmp_path):
    cancel = CancelToken()
    heard = Heard(lambda event: event.kind == "tick" and event.done == 5, cancel.cancel)
    stages = [Stage("slow", ADD, AddStage(plus=7, ticks=100))]
    with pytest.raises(Cancelled):
        run_graph(stages, tmp_path, sink=heard, cancel=cancel)
    heard = Heard()
    result = run_graph(stages, tmp_path, sink=heard)["slow"]
    first = next(event.done for event in heard.events if event.kind == "tick")
    assert first is not None and first > 5, "an interrupted stage began anew"
    assert result.figures["sum"] == 7 and len((result.folder / "ticks.txt").read_text()) == 100
    assert json.loads((result.folder / "stage.json").read_text())["resumed"] is True


def test_a_stage_that_ignores_the_wish_to_stop_is_killed_after_the_grace(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.3)
    cancel = CancelToken()
    stage = Stage("stubborn", FAULT, FaultStage(fault="stubborn"))
    pid_file = tmp_path / f"{plan([stage])['stubborn'].folder}.work" / "pid"

    def cancel_once_it_sleeps():
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.01)
        cancel.cancel()

    thread = threading.Thread(target=cancel_once_it_sleeps)
    thread.start()
    with pytest.raises(Cancelled):
        run_graph([stage], tmp_path, cancel=cancel)
    thread.join()
    assert gone(int(pid_file.read_text()))


@pytest.mark.parametrize("gpu", [False, True], ids=["forked", "from-scratch"])
def test_children_die_with_a_killed_parent_and_grandchildren_with_a_stopped_stage(tmp_path, gpu):
    code = (
        "from pathlib import Path; from meds3core.evolution import run; from meds3core.evolution.run import run_graph\n"
        f"run.gpu_present = lambda: {gpu}\n"
        "from meds3core.evolution.graph import Stage; from tests.core.evolution.cheap import *\n"
        "class Sink:\n"
        "    def emit(self, event):\n"
        "        print(event.kind, flush=True)\n"
        f"run_graph([Stage('child', FAULT, FaultStage(fault='child'))], Path({str(tmp_path)!r}), sink=Sink())"
    )
    for number in (signal.SIGKILL, signal.SIGINT):
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert parent.stdout is not None
        for line in parent.stdout:
            if line.strip() == b"ready":
                break
        stage, grandchild = map(int, next(tmp_path.glob("fault-*.work/pids")).read_text().split())
        assert alive(stage) and alive(grandchild)
        parent.send_signal(number)
        try:
            if number is signal.SIGKILL:
                assert gone(stage)
            else:
                os.kill(stage, signal.SIGKILL)  # it sleeps through SIGTERM; spare the test the grace
                assert gone(stage, grandchild)
        finally:
            parent.kill()
            parent.wait()
            if alive(grandchild):
                os.kill(grandchild, signal.SIGKILL)


@pytest.mark.parametrize("gpu", [False, True], ids=["forked", "from-scratch"])
def test_what_a_finished_stage_left_running_is_ended(tmp_path, monkeypatch, gpu):
    monkeypatch.setattr(runner, "gpu_present", lambda: gpu)
    results = run_graph([Stage("leaves", FAULT, FaultStage(fault="leave"))], tmp_path)
    assert gone(results["leaves"].figures["child"])


@pytest.mark.parametrize("damage", ["record gone", "record cut", "file gone", "file cut"])
def test_a_damaged_result_is_made_again(tmp_path, damage):
    stages = diamond()
    first = run_graph(stages, tmp_path)
    folder = first["left"].folder
    victim = folder / ("stage.json" if "record" in damage else "sum.txt")
    if "gone" in damage:
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-5])
    heard = Heard()
    again = run_graph(stages, tmp_path, sink=heard)
    assert heard.started() == ["left"]
    assert (again["left"].folder / "sum.txt").read_text() == "3"


def test_a_half_written_stage_folder_is_no_result(tmp_path):
    stages = diamond()
    work = tmp_path / f"{plan(stages)['first'].folder}.work"
    work.mkdir(parents=True)
    (work / "sum.txt").write_text("666")
    (work / ".stage.json.abc.part").write_text("{")
    result = run_graph(stages, tmp_path)["first"]
    assert result.figures["sum"] == 1 and not work.exists()
    assert sorted(path.name for path in result.folder.iterdir()) == ["log.txt", "stage.json", "sum.txt"]


def test_a_dead_nursery_is_an_error_not_a_hang(tmp_path):
    def kill_the_nursery():
        pid = int(next(tmp_path.glob("fault-*.work/parent")).read_text())
        os.kill(pid, signal.SIGKILL)

    heard = Heard(lambda event: event.kind == "ready", kill_the_nursery)
    with pytest.raises(StageFailed, match=r"SIGKILL|has died"):
        run_graph([Stage("bad", FAULT, FaultStage(fault="orphan"))], tmp_path, sink=heard)


def test_two_runs_share_a_store_without_doing_work_twice(tmp_path):
    stages = [Stage("shared", ADD, AddStage(plus=1, ticks=50))]
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_graph(stages, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["shared"].figures["sum"] for result in results] == [1, 1]
    assert len((results[0]["shared"].folder / "ticks.txt").read_text()) == 50


def test_a_graph_killed_at_ten_random_moments_gives_the_same_results(tmp_path):
    code = (
        "import sys; from pathlib import Path; from meds3core.evolution.run import run_graph\n"
        "from tests.core.evolution.test_run import long_diamond\n"
        "class Sink:\n"
        "    def emit(self, event):\n"
        "        print(event.kind, flush=True)\n"
        "run_graph(long_diamond(), Path(sys.argv[1]), parallel=2, sink=Sink())"
    )
    moments = random.Random(1)
    for _ in range(10):
        left = moments.randint(1, 30)
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")], stdout=subprocess.PIPE)
        assert process.stdout is not None
        while left and process.stdout.readline():
            left -= 1
        assert process.poll() is None, "done before it was killed ten times"
        process.kill()
        process.communicate()
    undisturbed = run_graph(long_diamond(), tmp_path / "undisturbed", parallel=2)
    resumed = run_graph(long_diamond(), tmp_path / "killed", parallel=2)
    for name, result in undisturbed.items():
        for file in ("sum.txt", "ticks.txt"):
            assert (resumed[name].folder / file).read_text() == (result.folder / file).read_text()
    assert not list((tmp_path / "killed").glob("*.work"))


def long_diamond() -> list[Stage]:
    settings = {"ticks": 150, "tick_seconds": 0.005}
    return [Stage(stage.name, ADD, stage.settings.model_copy(update=settings), stage.inputs) for stage in diamond()]


def test_planning_and_running_import_nothing_heavy():
    code = (
        "import sys, meds3core.evolution.evolve, meds3core.cli.evolve\n"
        "print([name for name in ('torch', 'transformers', 'trl', 'vllm', 'datasets') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
