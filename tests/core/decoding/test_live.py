"""Answering live: samples with early stopping, beam search, tree search; and their answers stored."""

import asyncio
import threading
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meds3core.config.decoding import BeamConfig, SampleConfig
from meds3core.config.search import DrawConfig
from meds3core.data.run_folder import ResultFileError
from meds3core.decoding.answers import AnswerSource, answer_all, read_answers
from meds3core.decoding.beam import answer_by_beam
from meds3core.decoding.metering import MeteredScorer, SharedScorer
from meds3core.decoding.online import answer
from meds3core.decoding.samples import draw_question
from meds3core.decoding.strategies import STRATEGIES, sample_score
from meds3core.decoding.tree import answer_by_tree, inference_config
from meds3core.engines.scripted import ScriptedEngine, ScriptedReply
from meds3core.errors import ConfigError, ContextOverflow, EngineError
from meds3core.prm.base import ScoreItem, Scores
from meds3core.search.answer import vote_sum
from meds3core.text.prompts import TEMPLATES
from meds3core.text.steps import NEXT_STEP, OPENER
from tests.core.decoding.factory import ToyModel
from tests.core.search.toy import make_question, respond, small_config

PLAIN = TEMPLATES["plain"]
LIVE = [name for name in STRATEGIES if name != "greedy"]


def run(work):
    return asyncio.run(work)


class TestSamples:
    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 60), st.sampled_from(LIVE), st.integers(1, 12), st.integers(1, 5), st.sampled_from([1, 2, 6]))
    def test_the_answer_is_the_one_chosen_afterwards_from_all_samples(self, number, name, n, at_once, levels):
        question, config = make_question(number), SampleConfig(n=n, max_tokens=120)
        model = ToyModel(STRATEGIES[name].needs, levels=levels)

        async def live():
            async with SharedScorer(model) as scorer:
                return await answer(
                    question, ScriptedEngine(respond), PLAIN, name, config, seed=7, scorer=scorer,
                    aggregator="last", at_once=at_once,
                )  # fmt: skip

        found = run(live())
        stored = run(draw_question(question, ScriptedEngine(respond), PLAIN, config, 7)).samples
        scores = [
            sample_score(values.values, "last" if model.info.kind == "prm" else "outcome")
            for values in model.score([ScoreItem(question.without_gold(), sample.bodies) for sample in stored])
        ]
        chosen = STRATEGIES[name].choose([sample.answer for sample in stored], scores, range(n))
        assert found.answer == chosen.answer
        assert [c.bodies for c in found.candidates] == [s.bodies for s in stored[: found.stopped_after]]
        assert found.cost.generated_tokens == sum(s.generated_tokens for s in stored[: found.stopped_after])

    def test_a_majority_stops_as_soon_as_it_is_one(self):
        engine = ScriptedEngine(lambda request: " The answer is 12 mg.")
        found = run(answer(make_question(3), engine, PLAIN, "self-consistency", SampleConfig(n=16), at_once=1))
        # With 8 of 16 votes nobody can get more, and nobody else came first.
        assert (found.answer, found.stopped_after, engine.requests) == ("12 mg", 8, 8)
        assert engine.max_in_flight == 8, "what is needed in any case is drawn together"

    def test_a_perfect_score_ends_best_of_n(self):
        class Sure(ToyModel):
            def _score(self, item):
                return Scores((1.0,) * len(item.bodies), 5)

        async def live():
            async with SharedScorer(Sure()) as scorer:
                engine = ScriptedEngine(lambda request: " The answer is 12 mg.")
                return await answer(
                    make_question(3), engine, PLAIN, "best-of-n", SampleConfig(n=16), scorer=scorer, at_once=3
                )

        found = run(live())
        assert (found.stopped_after, found.cost.scored_tokens) == (3, 15)

    def test_samples_without_an_answer_are_not_scored(self):
        model = ToyModel()

        async def live():
            async with SharedScorer(model) as scorer:
                engine = ScriptedEngine(lambda request: " I do not know.")
                return await answer(make_question(3), engine, PLAIN, "vote-sum", SampleConfig(n=4), scorer=scorer)

        found = run(live())
        assert (found.answer, found.chosen, found.stopped_after) == (None, None, 4)
        assert not model.items and found.cost.scored_tokens == 0

    def test_greedy_draws_one_sample_at_temperature_0(self):
        engine = ScriptedEngine(respond)
        config = SampleConfig(n=16, draw=DrawConfig(temperature=0.0, top_p=1.0))
        assert run(answer(make_question(3), engine, PLAIN, "greedy", config)).stopped_after == 1
        with pytest.raises(ConfigError, match="temperature 0"):
            run(answer(make_question(3), engine, PLAIN, "greedy", SampleConfig(n=16)))

    @pytest.mark.parametrize(("name", "kind"), [("vote-sum", "orm"), ("orm-best-of-n", "prm"), ("vote-sum", None)])
    def test_the_wrong_scorer_is_refused(self, name, kind):
        async def live():
            scorer = SharedScorer(ToyModel(kind)) if kind else None
            await answer(make_question(3), ScriptedEngine(respond), PLAIN, name, SampleConfig(n=2), scorer=scorer)

        with pytest.raises(ConfigError, match="reads the scores of a"):
            run(live())


class TestSharedScorer:
    def test_whatever_waits_is_scored_together_and_counted_apart(self):
        model = ToyModel()

        async def work():
            async with SharedScorer(model) as scorer:
                meters = [MeteredScorer(scorer) for _ in range(20)]
                bodies = [[OPENER, "word " * (number + 1)] for number in range(20)]
                results = await asyncio.gather(
                    *(meter.score(make_question(1), mine) for meter, mine in zip(meters, bodies, strict=True))
                )
                return meters, results, bodies

        meters, results, bodies = run(work())
        assert model.batches == 1
        for meter, result, mine in zip(meters, results, bodies, strict=True):
            alone = ToyModel()._score(
                type("Item", (), {"question": make_question(1).without_gold(), "bodies": tuple(mine)})
            )
            assert tuple(result) == alone.values and meter.tokens == alone.tokens

    def test_one_that_is_too_long_costs_no_other_its_scores(self):
        async def work():
            async with SharedScorer(ToyModel(longest=2)) as scorer:
                return await asyncio.gather(
                    *(scorer.score_trajectory(make_question(1), [OPENER] * size) for size in (1, 2, 3)),
                    return_exceptions=True,
                )

        assert [type(result) for result in run(work())] == [Scores, Scores, ContextOverflow]

    def test_a_failing_model_fails_those_who_asked_and_nobody_else(self):
        model = ToyModel()

        async def work():
            async with SharedScorer(model) as scorer:
                model.score, whole = lambda items: (_ for _ in ()).throw(EngineError("out of memory")), model.score
                with pytest.raises(EngineError, match="out of memory"):
                    await scorer.score_trajectory(make_question(1), [OPENER])
                model.score = whole
                return await scorer.score_trajectory(make_question(1), [OPENER])

        assert len(run(work()).values) == 1

    @pytest.mark.parametrize("when", ["waiting", "being scored"])
    def test_a_caller_who_gives_up_holds_nobody_up(self, when):
        begun, go_on = threading.Event(), threading.Event()

        class Slow(ToyModel):
            def score(self, items):
                begun.set()
                assert go_on.wait(10)
                return super().score(items)

        async def work():
            async with SharedScorer(Slow()) as scorer:
                leaving = asyncio.create_task(scorer.score_trajectory(make_question(1), [OPENER]))
                staying = asyncio.create_task(scorer.score_trajectory(make_question(2), [OPENER]))
                await (asyncio.sleep(0) if when == "waiting" else asyncio.to_thread(begun.wait, 10))
                leaving.cancel()
                await asyncio.sleep(0)
                go_on.set()
                return await asyncio.wait_for(staying, 10)

        assert len(run(work()).values) == 1


class TestBeam:
    CONFIG = BeamConfig(width=3, branching=3, step_tokens=40, finish_tokens=120, max_depth=6)

    def beam(self, number, *, config=CONFIG, engine=None, model=None, **options):
        model = model or ToyModel(levels=1000)

        async def work():
            async with SharedScorer(model) as scorer:
                return await answer_by_beam(
                    make_question(number), engine or ScriptedEngine(respond, shuffle=number), PLAIN, scorer, config,
                    seed=7, **options,
                )  # fmt: skip

        return run(work())

    def test_order_of_arrival_does_not_matter(self):
        for number in range(8):
            assert self.beam(number) == self.beam(number, engine=ScriptedEngine(respond))

    def test_the_answer_is_voted_from_at_most_width_finished_trajectories(self):
        found = [self.beam(number) for number in range(20)]
        assert all(len(result.candidates) <= 3 for result in found)
        assert sum(result.answer is not None for result in found) >= 15
        for result in found:
            assert len({candidate.bodies for candidate in result.candidates}) == len(result.candidates)
            assert all(candidate.answer is not None for candidate in result.candidates)
            assert result.cost.generated_tokens > 0 and result.cost.scored_tokens > 0
            if result.answer is not None:
                assert result.candidates[result.chosen].answer == result.answer

    def test_the_reward_model_leads_the_way(self):
        """Every step offers "good" or "bad"; a model that likes "good" ends with trajectories of nothing else."""

        def write(request):
            good = request.sampling.seed % 3 == 0
            number = len(request.prompt.pieces) - 1
            if number == 3:
                return f" The answer is {12 if 'bad' not in ''.join(request.prompt.pieces) else 13} mg."
            return ScriptedReply(f" {'good' if good else 'bad'} {request.sampling.seed % 7}")

        class LikesGood(ToyModel):
            def _score(self, item):
                bads = [sum("bad" in body for body in item.bodies[: last + 1]) for last in range(len(item.bodies))]
                return Scores(tuple(0.9 * 0.1**bad for bad in bads), 5)

        config = self.CONFIG.model_copy(update={"branching": 6})
        answers = [
            self.beam(number, config=config, engine=ScriptedEngine(write), model=LikesGood()).answer
            for number in range(10)
        ]
        assert answers.count("12 mg") >= 9

    def test_at_its_depth_limit_it_may_only_finish(self):
        def never_ends(request):
            assert NEXT_STEP in request.sampling.stop or len(request.prompt.pieces) == 7
            return ScriptedReply(f" Think {request.sampling.seed}.", closes=False) if request.sampling.stop else " Hm."

        config = self.CONFIG.model_copy(update={"step_tokens": 4})
        found = self.beam(1, engine=ScriptedEngine(never_ends), config=config)
        assert found.answer is None and found.candidates == ()

    def test_it_needs_a_process_reward_model(self):
        with pytest.raises(ConfigError, match="process reward model"):
            self.beam(1, model=ToyModel("orm"))


def tree(number, *, config=None, engine=None):
    async def work():
        async with SharedScorer(ToyModel(levels=1000)) as scorer:
            return await answer_by_tree(
                make_question(number),
                engine or ScriptedEngine(respond),
                PLAIN,
                scorer,
                config or inference_config(small_config()),
                seed=7,
            )

    return run(work())


class TestTree:
    def test_the_answer_is_the_vote_of_a_tree_without_gold(self):
        for number in range(6):
            found, grown = tree(number)
            assert not hasattr(grown.question, "gold") and all(node.verdict is None for node in grown.nodes)
            assert found.answer == vote_sum(grown).answer
            assert found.candidates[found.chosen].answer == found.answer
            assert found.cost.generated_tokens == grown.totals.generated_tokens
            assert found.cost.scored_tokens > 0 and found.stopped_after == len(grown.nodes) - 1

    def test_nothing_but_a_configuration_for_inference_will_do(self):
        with pytest.raises(ConfigError, match="mode 'inference'"):
            tree(1, config=small_config())

    def test_it_ends_whatever_the_scores_are(self):
        """An answer whose score lies between the two thresholds must not be selected for ever (a published fault)."""
        config = inference_config(small_config(reject_below=0.0, accept_at=1.0, max_reflections=3))
        found, grown = tree(2, config=config)
        assert found.stopped_after <= 2 * config.max_nodes and grown.stop_reason


class TestStored:
    SOURCE = AnswerSource(
        strategy="self-consistency", policy="toy", policy_hash="", engine="scripted", prompt="plain@1",
        prompt_hash="h", config={"n": 8}, seed=7,
    )  # fmt: skip

    def store(self, folder, count, engine=None, source=SOURCE):
        engine = engine or ScriptedEngine(respond, shuffle=1)
        config = SampleConfig(n=8, max_tokens=120)

        async def one(question):
            assert not hasattr(question, "gold")
            return await answer(question, engine, PLAIN, "self-consistency", config, seed=7)

        questions = [make_question(number) for number in range(count)]
        return run(answer_all(questions, one, source, folder, concurrency=5))

    def test_answers_are_checked_stored_and_continued(self, tmp_path):
        found = self.store(tmp_path / "whole", 12)
        assert [row.question.id for row in found.rows] == [f"toy-{number}" for number in range(12)]
        assert 0.2 < mean(row.correct is True for row in found.rows) <= 1.0
        assert found.mean_tokens == mean(row.found.cost.tokens for row in found.rows)
        self.store(tmp_path / "grown", 5)
        engine = ScriptedEngine(respond)
        assert self.store(tmp_path / "grown", 12, engine) == found
        assert read_answers(tmp_path / "grown") == found

    def test_other_settings_are_refused(self, tmp_path):
        self.store(tmp_path, 3)
        with pytest.raises(ConfigError, match=r"source\.config\.n there 8, here 9"):
            self.store(tmp_path, 3, source=self.SOURCE.model_copy(update={"config": {"n": 9}}))
        with pytest.raises(ResultFileError):
            read_answers(tmp_path / "elsewhere")
