"""Beam search over steps, guided by a process reward model.

Each round draws the next step of every trajectory that is kept, scores what came of it, and keeps the best (Snell et
al., arXiv 2408.03314). A trajectory that states an answer leaves the beam and takes its place with it, so the beam
narrows as answers come in. The answer is the vote-sum or the best of the finished trajectories.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from meds3core.config.decoding import BeamConfig
from meds3core.decoding.answer import Answer, Candidate
from meds3core.decoding.metering import MeteredEngine, MeteredScorer, SharedScorer, cost_of
from meds3core.decoding.strategies import STRATEGIES, sample_score
from meds3core.engines.base import Engine, Request, Sampling
from meds3core.errors import ConfigError, ContextOverflow
from meds3core.search.concurrency import gather
from meds3core.search.expand import cut_into_steps
from meds3core.search.seeds import request_seed
from meds3core.text.prompts import PromptTemplate, answer_form
from meds3core.text.steps import NEXT_STEP, OPENER
from meds3core.types.question import OpenQuestion
from meds3core.verify.judge import verifier_for


@dataclass(frozen=True, slots=True)
class _Beam:
    """A trajectory under way, or finished when it states an answer."""

    path: tuple[int, ...]
    """Which draw each of its rounds was: its place, from which seeds derive."""
    bodies: tuple[str, ...]
    answer: str | None = None
    scores: tuple[float, ...] = ()
    score: float = 0.0


async def answer_by_beam(
    question: OpenQuestion,
    engine: Engine,
    prompt: PromptTemplate,
    scorer: SharedScorer,
    config: BeamConfig,
    *,
    seed: int = 0,
    aggregator: str = "last",
    strategy: Literal["vote-sum", "best-of-n"] = "vote-sum",
) -> Answer:
    """Search one question; a function of question, policy, reward model, configuration and seed.

    Raises `ConfigError` when the scorer is not a PRM, and what engine and scorer raise.
    """
    if scorer.scorer.info.kind != "prm":
        raise ConfigError("beam search scores steps: it needs a process reward model (PRM)")
    metered, reader = MeteredEngine(engine), MeteredScorer(scorer)
    beams = [_Beam((), (OPENER,))]
    finished: list[_Beam] = []
    depth = 0
    while beams and depth < config.max_depth:
        depth += 1
        drawn = await gather(
            _extend(question, beam, index, metered, prompt, config, seed, last=depth == config.max_depth)
            for beam in beams
            for index in range(_draws(beams, config))
        )
        grown = _distinct([beam for beam in drawn if beam is not None], finished)
        scored = await gather(_scored(question, beam, reader, aggregator) for beam in grown)
        # Best first; ties go to the earlier draw.
        best = sorted(scored, key=lambda beam: -beam.score)[: config.width - len(finished)]
        finished += [beam for beam in best if beam.answer is not None]
        beams = [beam for beam in best if beam.answer is None]
    choice = STRATEGIES[strategy].choose(
        [beam.answer for beam in finished], [beam.score for beam in finished], range(len(finished))
    )
    return Answer(
        answer=choice.answer,
        chosen=choice.index,
        why=choice.why,
        candidates=tuple(
            Candidate(bodies=beam.bodies, answer=beam.answer, scores=beam.scores, score=beam.score) for beam in finished
        ),
        stopped_after=depth,
        cost=cost_of(metered, reader),
    )


def _draws(beams: Sequence[_Beam], config: BeamConfig) -> int:
    """The first round has one beam only: it draws for all."""
    return config.branching * (config.width if beams[0].path == () else 1)


async def _extend(
    question: OpenQuestion,
    beam: _Beam,
    index: int,
    engine: Engine,
    prompt: PromptTemplate,
    config: BeamConfig,
    seed: int,
    *,
    last: bool,
) -> _Beam | None:
    """The trajectory with its next step (the last time: with all the rest); None when the policy wrote no whole one."""
    path = (*beam.path, index)
    request = Request(
        prompt.continuation(question.text, answer_form(question), beam.bodies, "finish" if last else "reason"),
        Sampling(
            max_tokens=config.finish_tokens if last else config.step_tokens,
            temperature=config.step_draw.temperature,
            top_p=config.step_draw.top_p,
            stop=() if last else (NEXT_STEP,),
            seed=request_seed(seed, question.content_hash, path, "beam", 0),
        ),
    )
    steps = [step for step in cut_into_steps(await engine.generate(request), len(beam.bodies)) if not step.truncated]
    if not steps:
        return None
    verifier = verifier_for(question)
    stated = [verifier.stated_answer(step.body, question) for step in steps]
    answer = next((found for found in reversed(stated) if found is not None), None)
    if last and answer is None:
        return None
    return _Beam(path, (*beam.bodies, *(step.body for step in steps)), answer)


def _distinct(beams: Sequence[_Beam], finished: Sequence[_Beam]) -> list[_Beam]:
    """Without those that say the same as an earlier one: a beam of copies is no beam."""
    seen = {beam.bodies for beam in finished}
    kept = []
    for beam in beams:
        if beam.bodies not in seen:
            seen.add(beam.bodies)
            kept.append(beam)
    return kept


async def _scored(question: OpenQuestion, beam: _Beam, reader: MeteredScorer, aggregator: str) -> _Beam:
    try:
        scores = tuple(await reader.score(question, beam.bodies))
    except ContextOverflow:
        scores = ()
    return _Beam(beam.path, beam.bodies, beam.answer, scores, sample_score(scores, aggregator))
