"""Score sets: every sample its own scores, stored so that they can be left anywhere and continued."""

import asyncio
import random
import signal
import subprocess
import sys
import time

import pytest

from meds3core.data.run_folder import ResultFileError
from meds3core.decoding.scores import read_scores, score_samples
from meds3core.errors import Cancelled, ConfigError, EngineError
from meds3core.prm.base import ScoreItem, Scores
from meds3core.progress import CancelToken
from tests.core.decoding.draw_child import draw
from tests.core.decoding.factory import ToyModel
from tests.core.decoding.test_samples import contents

COUNT, N = 20, 4


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return asyncio.run(draw(tmp_path_factory.mktemp("samples"), COUNT, N))


@pytest.fixture(scope="module")
def undisturbed(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    score_samples(samples, ToyModel(), folder, questions_at_once=3)
    assert list(contents(folder)) == ["scores.json", "scores.jsonl"]
    return contents(folder)


def test_every_sample_of_a_batch_has_its_own_scores(samples, tmp_path):
    """The published code read the scores of a batch from row 0 only."""
    scores = score_samples(samples, ToyModel(), tmp_path, questions_at_once=5)
    for row, scored in zip(samples.rows, scores.rows, strict=True):
        assert scored.question_id == row.question.id
        for sample, values in zip(row.samples, scored.scores, strict=True):
            alone = ToyModel().score([ScoreItem(row.question.without_gold(), sample.bodies)])[0]
            assert values == alone.values and len(values) == len(sample.bodies)
    assert read_scores(tmp_path, samples) == scores


def test_an_outcome_model_gives_one_score_each(samples, tmp_path):
    scores = score_samples(samples, ToyModel("orm"), tmp_path)
    assert all(len(values) == 1 for row in scores.rows for values in row.scores)
    assert scores.source.kind == "orm"


def test_scores_of_other_samples_are_refused(samples, tmp_path):
    scores = score_samples(samples, ToyModel(), tmp_path / "scores")
    other = asyncio.run(draw(tmp_path / "other", COUNT, N + 1))
    with pytest.raises(ConfigError, match="other samples"):
        read_scores(tmp_path / "scores", other)
    with pytest.raises(ConfigError, match=r"source\.samples_hash"):
        score_samples(other, ToyModel(), tmp_path / "scores")
    with pytest.raises(ConfigError, match=r"source\.model_hash there 'm', here 'm2'"):
        score_samples(samples, ToyModel(model_hash="m2"), tmp_path / "scores")
    assert read_scores(tmp_path / "scores", samples) == scores


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_gives_the_same_files(samples, undisturbed, tmp_path):
    asyncio.run(draw(tmp_path / "samples", COUNT, N))
    rng = random.Random(2)
    folder = tmp_path / "scores"
    command = [sys.executable, "-m", "tests.core.decoding.score_child", str(tmp_path / "samples"), str(folder)]
    kills = 0
    for _ in range(5):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.15))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
        child.stdout.close()
    assert kills >= 3, "the scoring is too quick to be killed"
    subprocess.run(command, check=True, capture_output=True)
    assert contents(folder) == undisturbed


@pytest.mark.parametrize("whole_lines", [0, 1, 4, 19])
def test_a_continued_run_batches_as_an_undisturbed_one(samples, undisturbed, tmp_path, whole_lines):
    score_samples(samples, ToyModel(), tmp_path, questions_at_once=3)
    lines = undisturbed["scores.jsonl"].splitlines(keepends=True)
    (tmp_path / "scores.jsonl").unlink()
    (tmp_path / "scores.partial.jsonl").write_bytes(b"".join(lines[:whole_lines]) + lines[whole_lines][:9])
    model = ToyModel()
    score_samples(samples, model, tmp_path, questions_at_once=3)
    assert model.batches == 7 - whole_lines // 3
    assert contents(tmp_path) == undisturbed


def test_cancelled_between_blocks_and_continued(samples, undisturbed, tmp_path):
    token = CancelToken()

    class CancelAtOnce:
        def emit(self, event):
            if event.kind == "scores":
                token.cancel()

    with pytest.raises(Cancelled):
        score_samples(samples, ToyModel(), tmp_path, questions_at_once=3, sink=CancelAtOnce(), cancel=token)
    with pytest.raises(ResultFileError, match="not finished"):
        read_scores(tmp_path)
    model = ToyModel()
    score_samples(samples, model, tmp_path, questions_at_once=3)
    assert model.batches == 6
    assert contents(tmp_path) == undisturbed


def test_what_does_not_fit_the_reward_model_costs_only_its_own_scores(samples, tmp_path):
    scores = score_samples(samples, ToyModel(longest=3), tmp_path)
    lengths = [len(sample.bodies) for row in samples.rows for sample in row.samples]
    assert {length > 3 for length in lengths} == {True, False}
    assert [bool(values) for row in scores.rows for values in row.scores] == [length <= 3 for length in lengths]


@pytest.mark.parametrize("values", [(0.5,), (0.5, float("nan")), (0.5, 1.5)])
def test_a_reward_model_that_gives_no_scores_is_an_error(samples, tmp_path, values):
    class Broken(ToyModel):
        def score(self, items):
            return [Scores(values, 1) for _ in items]

    with pytest.raises(EngineError, match="reward model gave"):
        score_samples(samples, Broken(), tmp_path)
    with pytest.raises(ResultFileError):
        read_scores(tmp_path)
    score_samples(samples, ToyModel(), tmp_path)  # nothing is lost: the same folder continues
    assert len(read_scores(tmp_path, samples).rows) == COUNT


def test_a_changed_file_is_noticed(samples, tmp_path):
    score_samples(samples, ToyModel(), tmp_path)
    path = tmp_path / "scores.jsonl"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ResultFileError, match="changed since"):
        read_scores(tmp_path, samples)
