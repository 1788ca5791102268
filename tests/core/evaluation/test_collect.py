"""What an evaluation draws: continued where it stopped, never drawn twice, senseless plans refused."""

import pytest
from pydantic import ValidationError

from meds3core.config.decoding import SampleConfig
from meds3core.config.evaluation import CollectConfig, EvaluationConfig, ProbeConfig
from meds3core.engines.scripted import ScriptedEngine, ScriptedReply
from meds3core.errors import Cancelled
from meds3core.evaluation.collect import collect, score_collected
from meds3core.evaluation.run import evaluate
from meds3core.progress import CancelToken
from tests.core.decoding.factory import ToyModel
from tests.core.search.toy import make_question, respond

QUESTIONS = [make_question(number) for number in range(12)]
OTHERS = [make_question(number) for number in range(20, 26)]
PLAN = CollectConfig(
    samples=SampleConfig(n=4, max_tokens=64),
    greedy=CollectConfig().greedy.model_copy(update={"max_tokens": 64}),
    sampled_questions=8,
    probes=ProbeConfig(),
)
QUICK = EvaluationConfig(resamples=100, p_resamples=100, subsets=5)


class Counting:
    """How many completions were asked for; cancels the work at one of them."""

    def __init__(self, cancel_at=None):
        self.asked = 0
        self.token = CancelToken()
        self._cancel_at = cancel_at
        self.engine = ScriptedEngine(self._respond)

    def _respond(self, request):
        self.asked += 1
        if self.asked == self._cancel_at:
            self.token.cancel()
        if request.prompt.pieces[-1].endswith("The answer is"):
            return ScriptedReply(" 12 mg.")
        if "weighs" not in request.prompt.messages[-1].content:  # the key fact is missing
            return ScriptedReply(" One can only guess.\n\nStep 2: The answer is 10 mg.")
        return respond(request)


async def drawn(counting, folder):
    return await collect(
        QUESTIONS,
        counting.engine,
        folder,
        PLAN,
        policy_prompt="plain",
        validation=OTHERS,
        level=QUICK,
        concurrency=4,
        cancel=counting.token,
    )


async def test_everything_is_drawn_once_and_evaluated(tmp_path):
    counting = Counting()
    collected = await drawn(counting, tmp_path)
    scorers = {"prm": ToyModel(), "orm": ToyModel("orm", model_hash="o")}
    scores, validation = score_collected(collected, scorers, tmp_path)
    found = evaluate(collected.greedy, collected.samples, scores, None, validation, QUICK, probes=collected.probes)
    assert found.evaluation.greedy.questions == 12 and len(collected.samples.rows) == 8
    assert len(collected.validation.rows) == 6 and "6 validation questions" in found.evaluation.selection.how
    assert [each.transform for each in found.evaluation.robustness] == ["distractor", "missing-fact"]
    assert found.evaluation.faithfulness.early and found.evaluation.faithfulness.corrupted is not None
    assert set(found.evaluation.scorers) == {"prm", "orm"}
    asked, batches = counting.asked, scorers["prm"].batches
    again = await drawn(counting, tmp_path)
    score_collected(again, scorers, tmp_path)
    assert (counting.asked, scorers["prm"].batches) == (asked, batches)
    assert again.probes == collected.probes and again.greedy == collected.greedy


@pytest.mark.parametrize("at", [3, 30, 60])
async def test_stopped_anywhere_it_goes_on_to_the_same_end(tmp_path, at):
    whole = await drawn(Counting(), tmp_path / "whole")
    with pytest.raises(Cancelled):
        await drawn(Counting(cancel_at=at), tmp_path / "cut")
    continued = await drawn(Counting(), tmp_path / "cut")
    assert continued == whole


async def test_other_settings_make_the_probe_again(tmp_path):
    counting = Counting()
    await drawn(counting, tmp_path)
    asked = counting.asked
    (tmp_path / "probes" / "faithfulness.json").write_text("{half")
    again = await drawn(counting, tmp_path)
    assert counting.asked > asked and again.probes.faithfulness is not None


def test_plans_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match="one a question at temperature 0"):
        CollectConfig(greedy=SampleConfig(n=1))
    with pytest.raises(ValidationError, match="would all be the same"):
        CollectConfig(samples=CollectConfig().greedy.model_copy(update={"n": 4}))
