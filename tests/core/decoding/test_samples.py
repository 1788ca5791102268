"""Sample sets: what is drawn, how it is judged, and that a set can be left anywhere, continued and enlarged."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time

import pytest

from meds3core.config.decoding import SampleConfig
from meds3core.data.run_folder import ResultFileError
from meds3core.decoding.samples import read_samples, sample_of, sample_request
from meds3core.engines.base import Completion
from meds3core.engines.scripted import ScriptedEngine
from meds3core.errors import Cancelled, ConfigError, ContextOverflow
from meds3core.progress import CancelToken
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import OPENER
from meds3core.types.question import ChoiceFormat, Gold, Option, Question
from tests.core.decoding.draw_child import draw
from tests.core.search.toy import make_question, respond

COUNT, N = 30, 4
FILES = ["samples.json", "samples.jsonl"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    asyncio.run(draw(folder, COUNT, N))
    assert list(contents(folder)) == FILES
    return contents(folder)


def completion(text, finish="end", **tokens):
    return Completion(text, finish, **({"generated_tokens": 9, "prompt_tokens": 50} | tokens))


def cancelled_at(done):
    """Options for a call that is cancelled when so many questions are done."""
    token = CancelToken()

    class CancelThen:
        def emit(self, event):
            if event.done == done:
                token.cancel()

    return {"sink": CancelThen(), "cancel": token}


class TestOneAnswer:
    def test_the_response_is_cut_into_steps_behind_the_opener(self):
        sample = sample_of(
            make_question(3), completion(" Take 6 kg.\n\nStep 2: The answer is 12 mg.", cached_tokens=40)
        )
        assert sample.bodies == (OPENER, "Take 6 kg.", "The answer is 12 mg.")
        assert (sample.answer, sample.correct, sample.finish) == ("12 mg", True, "end")
        assert (sample.generated_tokens, sample.prompt_tokens) == (9, 10), "prompt tokens after caching"

    def test_no_answer_is_not_wrong(self):
        sample = sample_of(make_question(3), completion(" I do not know."))
        assert (sample.answer, sample.correct) == (None, None)
        assert sample_of(make_question(3), completion("  ")).bodies == (OPENER,)

    def test_a_step_that_the_limit_cut_states_no_answer_but_is_kept(self):
        sample = sample_of(make_question(3), completion(" Take 6 kg.\n\nStep 2: The answer is 1", "length"))
        assert (sample.answer, sample.bodies[-1]) == (None, "The answer is 1")
        whole = sample_of(make_question(3), completion(" The answer is 12 mg.\n\nStep 2: But", "length"))
        assert whole.answer == "12 mg"
        # The cut step is empty: the one before it is whole.
        assert sample_of(make_question(3), completion(" The answer is 12 mg.\n\nStep 2:", "length")).answer == "12 mg"

    def test_responses_are_judged_leniently_and_never_by_substring(self):
        options = (Option(letter="A", text="a beta blocker"), Option(letter="B", text="rest"))
        question = Question(
            id="q",
            text="?\nA. a beta blocker\nB. rest",
            answer_format=ChoiceFormat(options=options),
            gold=Gold(value="A"),
        )
        assert sample_of(question, completion(" Weigh both.\n\nStep 2: B is correct.")).answer == "B"
        # The first words of a response are an answer; the first words of its first step are not.
        assert sample_of(question, completion(" A patient needs rest or not.")).answer is None

    def test_an_open_question_has_answers_without_verdict(self):
        sample = sample_of(make_question(3).without_gold(), completion(" The answer is 12 mg."))
        assert (sample.answer, sample.correct) == ("12 mg", None)

    def test_the_prompt_is_a_rollouts_and_the_seed_its_own(self):
        question, prompt, config = make_question(3), TEMPLATES["plain"], SampleConfig()
        first, second = (sample_request(question, prompt, config, 7, index) for index in (0, 1))
        assert first.prompt == second.prompt and first.sampling.seed != second.sampling.seed
        assert first.prompt.pieces == (f"Step 0: {OPENER}\n\n", "Step 1:")
        renamed = question.model_copy(update={"id": "other"})
        assert sample_request(renamed, prompt, config, 7, 0) == first, "seeds do not derive from ids"


class TestFolder:
    def test_samples_lie_in_question_order_with_shape_and_hash(self, tmp_path):
        drawn = asyncio.run(draw(tmp_path, COUNT, N))
        assert [row.question.id for row in drawn.rows] == [f"toy-{number}" for number in range(COUNT)]
        assert all(len(row.samples) == N for row in drawn.rows)
        manifest = json.loads((tmp_path / "samples.json").read_text())
        assert manifest["source"]["n"] == N and manifest["finished"]["content_hash"] == drawn.content_hash
        assert drawn.shapes[""].options == {0: COUNT}
        assert read_samples(tmp_path) == drawn

    @pytest.mark.parametrize("concurrency", [1, 3, 1000])
    def test_concurrency_changes_nothing(self, tmp_path, undisturbed, concurrency):
        asyncio.run(draw(tmp_path, COUNT, N, concurrency=concurrency))
        assert contents(tmp_path) == undisturbed

    def test_requests_of_all_questions_wait_together(self, tmp_path):
        engine = ScriptedEngine(respond)
        asyncio.run(draw(tmp_path, COUNT, N, engine=engine, concurrency=20))
        assert engine.max_in_flight == 20 and engine.requests == COUNT * N

    def test_sample_i_is_the_same_for_every_n_and_every_set_of_questions(self, tmp_path):
        small = asyncio.run(draw(tmp_path / "small", 3, 2))
        large = asyncio.run(draw(tmp_path / "large", 9, 5))
        for few, many in zip(small.rows, large.rows[:3], strict=True):
            assert few.samples == many.samples[:2]

    @pytest.mark.slow
    def test_killed_at_random_moments_and_resumed_gives_the_same_files(self, tmp_path, undisturbed):
        rng = random.Random(5)
        command = [sys.executable, "-m", "tests.core.decoding.draw_child", str(tmp_path), str(COUNT), str(N)]
        kills = 0
        for _ in range(10):
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
            child.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.15))
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                kills += 1
            child.wait()
            child.stdout.close()
        assert kills >= 5, "the sampling is too quick to be killed: raise its latency"
        subprocess.run(command, check=True, capture_output=True)
        assert contents(tmp_path) == undisturbed

    def test_a_line_cut_anywhere_is_dropped_and_drawn_again(self, tmp_path, undisturbed):
        whole = undisturbed["samples.jsonl"]
        for cut in (0, len(whole) - 1, len(whole) // 2, len(whole) // 3):
            asyncio.run(draw(tmp_path, COUNT, N))
            (tmp_path / "samples.jsonl").unlink()
            (tmp_path / "samples.partial.jsonl").write_bytes(whole[:cut])
            engine = ScriptedEngine(respond)
            asyncio.run(draw(tmp_path, COUNT, N, engine=engine))
            assert engine.requests == N * (COUNT - whole[:cut].count(b"\n"))
            assert contents(tmp_path) == undisturbed

    def test_what_a_crash_cut_is_not_glued_to_what_comes_next(self, tmp_path, undisturbed):
        asyncio.run(draw(tmp_path, 4, N))
        partial = tmp_path / "samples.partial.jsonl"
        partial.write_bytes(undisturbed["samples.jsonl"][:-500])
        (tmp_path / "samples.jsonl").unlink()
        with pytest.raises(Cancelled):
            asyncio.run(draw(tmp_path, COUNT + 9, N, concurrency=N, **cancelled_at(COUNT + 3)))
        assert [json.loads(line)["question"]["id"] for line in partial.read_bytes().splitlines()][-4:] == [
            f"toy-{COUNT + more}" for more in range(-1, 3)
        ]

    def test_killed_between_the_last_two_renames_it_is_finished_again(self, tmp_path, undisturbed):
        asyncio.run(draw(tmp_path, COUNT, N))
        (tmp_path / "samples.partial.jsonl").write_bytes(undisturbed["samples.jsonl"])
        asyncio.run(draw(tmp_path, COUNT, N))
        assert contents(tmp_path) == undisturbed

    def test_a_finished_set_is_not_touched(self, tmp_path):
        asyncio.run(draw(tmp_path, 3, N))
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        engine = ScriptedEngine(respond)
        asyncio.run(draw(tmp_path, 3, N, engine=engine))
        assert engine.requests == 0
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before

    def test_more_answers_and_more_questions_reuse_what_exists(self, tmp_path, undisturbed):
        asyncio.run(draw(tmp_path, 10, N - 1))
        engine = ScriptedEngine(respond)
        asyncio.run(draw(tmp_path, COUNT, N, engine=engine))
        assert engine.requests == 10 + N * (COUNT - 10)
        assert contents(tmp_path) == undisturbed

    def test_fewer_of_either_would_lose_samples_and_are_refused(self, tmp_path, undisturbed):
        asyncio.run(draw(tmp_path, COUNT, N))
        with pytest.raises(ConfigError, match=f"source.n there {N}, here 2"):
            asyncio.run(draw(tmp_path, COUNT, 2))
        with pytest.raises(ConfigError, match="not asked for"):
            asyncio.run(draw(tmp_path, COUNT - 1, N))
        assert contents(tmp_path) == undisturbed

    def test_while_it_grows_it_is_not_finished(self, tmp_path, undisturbed):
        asyncio.run(draw(tmp_path, COUNT, N - 1))
        with pytest.raises(Cancelled):
            asyncio.run(draw(tmp_path, COUNT, N, concurrency=4, **cancelled_at(10)))
        with pytest.raises(ResultFileError, match="not finished"):
            read_samples(tmp_path)
        asyncio.run(draw(tmp_path, COUNT, N))
        assert contents(tmp_path) == undisturbed

    def test_a_changed_question_is_refused(self, tmp_path):
        asyncio.run(draw(tmp_path, 3, N))
        questions = [make_question(0), make_question(1).model_copy(update={"text": "changed"}), make_question(2)]
        with pytest.raises(ConfigError, match="'toy-1' has changed"):
            asyncio.run(draw(tmp_path, 3, N, questions=questions))

    def test_cancelling_keeps_what_is_finished(self, tmp_path, undisturbed):
        with pytest.raises(Cancelled):
            asyncio.run(draw(tmp_path, COUNT, N, concurrency=4, **cancelled_at(10)))
        with pytest.raises(ResultFileError, match="not finished"):
            read_samples(tmp_path)
        engine = ScriptedEngine(respond)
        asyncio.run(draw(tmp_path, COUNT, N, engine=engine))
        assert engine.requests <= N * (COUNT - 10)
        assert contents(tmp_path) == undisturbed

    def test_a_failing_question_is_recorded_and_tried_again_on_request(self, tmp_path, undisturbed):
        broken = True

        def respond_or_fail(request):
            if broken and "Patient 2 " in request.prompt.messages[-1].content:
                return ContextOverflow("too long")
            return respond(request)

        engine = ScriptedEngine(respond_or_fail)
        drawn = asyncio.run(draw(tmp_path, COUNT, N, engine=engine))
        assert [(failure.id, failure.code) for failure in drawn.failures] == [("toy-2", "context-overflow")]
        assert len(drawn.rows) == COUNT - 1
        broken = False
        assert len(asyncio.run(draw(tmp_path, COUNT, N, engine=engine)).failures) == 1, "not unless asked to"
        assert not asyncio.run(draw(tmp_path, COUNT, N, engine=engine, retry_failed=True)).failures
        assert contents(tmp_path) == undisturbed

    def test_a_changed_file_is_noticed(self, tmp_path):
        asyncio.run(draw(tmp_path, 3, N))
        path = tmp_path / "samples.jsonl"
        path.write_bytes(path.read_bytes().replace(b"12 mg", b"13 mg"))
        with pytest.raises(ResultFileError, match="changed since it was written"):
            read_samples(tmp_path)

    def test_a_full_disk_is_told_and_nothing_is_lost(self, tmp_path, undisturbed):
        """A limit on the size of files stands for the full disk."""
        code = f"""
import asyncio, resource
from pathlib import Path
from tests.core.decoding.draw_child import draw
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
try:
    asyncio.run(draw(Path({str(tmp_path)!r}), {COUNT}, {N}))
except Exception as error:
    print(type(error).__name__, error)
"""
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert said.startswith("UserError") and "cannot be written" in said
        engine = ScriptedEngine(respond)
        asyncio.run(draw(tmp_path, COUNT, N, engine=engine))
        assert 0 < engine.requests < COUNT * N
        assert contents(tmp_path) == undisturbed

    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "samples.jsonl").write_text("mine\n")
        with pytest.raises(ConfigError, match=r"no samples\.json"):
            asyncio.run(draw(tmp_path, 3, N))
        with pytest.raises(ResultFileError, match="is this a folder of samples"):
            read_samples(tmp_path)
