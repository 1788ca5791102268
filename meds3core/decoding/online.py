"""Answering live: draw samples in waves and stop as soon as no further one can change the answer."""

from collections.abc import Sequence

from meds3core.config.decoding import SampleConfig
from meds3core.decoding.answer import Answer, Candidate
from meds3core.decoding.base import Strategy
from meds3core.decoding.metering import MeteredEngine, MeteredScorer, SharedScorer, cost_of
from meds3core.decoding.samples import sample_of, sample_request
from meds3core.decoding.strategies import OUTCOME, STRATEGIES, sample_score
from meds3core.engines.base import Engine
from meds3core.errors import ConfigError, ContextOverflow
from meds3core.search.concurrency import gather
from meds3core.text.prompts import PromptTemplate
from meds3core.types.question import OpenQuestion
from meds3core.types.samples import Sample


async def answer(
    question: OpenQuestion,
    engine: Engine,
    prompt: PromptTemplate,
    strategy: str,
    config: SampleConfig,
    *,
    seed: int = 0,
    scorer: SharedScorer | None = None,
    aggregator: str = "last",
    at_once: int = 4,
) -> Answer:
    """Answer from at most `config.n` samples.

    The samples are those that `draw_samples` would draw, and the answer is the one that the strategy chooses from all
    n of them: drawing stops only where that is certain. At least `at_once` samples are drawn together, and as many as
    are needed in any case; where the strategy reads scores, they are scored, but for those without an answer. Raises
    `ConfigError` for an unknown strategy or a missing scorer, and what the engine and the reward model raise.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"unknown strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    if strategy == "greedy" and config.draw.temperature > 0:
        raise ConfigError(f"greedy decoding is drawn at temperature 0, not {config.draw.temperature}")
    plan, n = STRATEGIES[strategy], 1 if strategy == "greedy" else config.n
    metered = MeteredEngine(engine)
    reader = _reader(strategy, scorer)
    samples: list[Sample] = []
    steps: list[tuple[float, ...]] = []
    scores: list[float] = []
    answers: list[str | None] = []
    while len(samples) < n and not plan.settled(answers, scores if reader else None, n):
        enough = max(len(samples) + at_once, _soonest(plan, answers, scores if reader else None, n))
        wave = range(len(samples), min(enough, n))
        requests = [sample_request(question, prompt, config, seed, index) for index in wave]
        completions = await gather(metered.generate(request) for request in requests)
        drawn = [sample_of(question, completion) for completion in completions]
        samples += drawn
        answers += [sample.answer for sample in drawn]
        if reader is not None:
            scored = await gather(_step_scores(reader, question, sample) for sample in drawn)
            steps += scored
            scores += [sample_score(values, OUTCOME if plan.needs == "orm" else aggregator) for values in scored]
    choice = plan.choose(answers, scores if reader else None, range(len(samples)))
    return Answer(
        answer=choice.answer,
        chosen=choice.index,
        why=choice.why,
        candidates=_candidates(samples, steps, scores),
        stopped_after=len(samples),
        cost=cost_of(metered, reader),
    )


def _soonest(plan: Strategy, answers: Sequence[str | None], scores: Sequence[float] | None, n: int) -> int:
    """How many samples it takes at the least, if all that come agree with the leader and score 1."""
    leader = plan.choose(answers, scores, range(len(answers))).answer if answers else None
    for more in range(n - len(answers)):
        likely = [*answers, *[leader or ""] * more]
        if plan.settled(likely, None if scores is None else [*scores, *[1.0] * more], n):
            return len(likely)
    return n


def _reader(strategy: str, scorer: SharedScorer | None) -> MeteredScorer | None:
    needs = STRATEGIES[strategy].needs
    if needs == "nothing":
        return None
    kind = scorer.scorer.info.kind if scorer is not None else None
    if scorer is None or kind != needs:
        given = "none was given" if kind is None else f"an {kind.upper()} was given"
        raise ConfigError(f"strategy {strategy!r} reads the scores of a {needs.upper()}; {given}")
    return MeteredScorer(scorer)


async def _step_scores(reader: MeteredScorer, question: OpenQuestion, sample: Sample) -> tuple[float, ...]:
    if sample.answer is None:
        return ()
    try:
        return tuple(await reader.score(question, sample.bodies))
    except ContextOverflow:
        return ()  # as in a stored score set: it can never be chosen by its score


def _candidates(
    samples: Sequence[Sample], steps: Sequence[tuple[float, ...]], scores: Sequence[float]
) -> tuple[Candidate, ...]:
    if not scores:
        return tuple(Candidate(bodies=sample.bodies, answer=sample.answer) for sample in samples)
    return tuple(
        Candidate(bodies=sample.bodies, answer=sample.answer, scores=values, score=score)
        for sample, values, score in zip(samples, steps, scores, strict=True)
    )
