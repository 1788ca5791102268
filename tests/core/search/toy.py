"""A toy policy for search tests: what it writes is a function of the request alone, and it misbehaves in every way
that a real one does (empty steps, twins, chains, texts without answer, cut texts, wrong numbers)."""

import random
import re

from meds3core.config.search import SearchConfig
from meds3core.engines.base import Prompt, Request
from meds3core.engines.scripted import ScriptedEngine, ScriptedReply, likelihood_key, request_key
from meds3core.search.base import SearchTools
from meds3core.text.prompts import TEMPLATES
from meds3core.types.question import Gold, NumberFormat, Question


class ToyVerifier:
    """The last "The answer is X." of a text."""

    def stated_answer(self, text, question):
        found = re.findall(r"The answer is (.*?)\.", text)
        return found[-1] if found else None

    extract_answer = stated_answer

    def is_right(self, answer, question):
        return answer == question.gold.value


def make_question(number: int) -> Question:
    return Question(
        id=f"toy-{number}",
        text=f"Patient {number} weighs {number + 3} kg and gets 2 mg per kg. How many mg is that?",
        answer_format=NumberFormat(unit="mg"),
        gold=Gold(value=f"{2 * (number + 3)} mg"),
    )


def respond(request: Request) -> ScriptedReply:
    """One reply; about half of the answers are right (12 mg is right for question 3)."""
    rng = random.Random(request_key(request))
    gold = _gold(request.prompt)
    steps = [rng.choice(["Take the weight.", "Take the dose.", "Multiply them.", f"Think {rng.randint(0, 9)}."])]
    kind = rng.random()
    if kind < 0.04:
        return ScriptedReply("  ")
    answer = gold if rng.random() < 0.5 else gold + rng.randint(1, 2)
    if request.sampling.stop:
        if kind < 0.35:
            return ScriptedReply(f" The answer is {answer} mg.")
        return ScriptedReply(f" {steps[0]}", closes=kind < 0.9) if kind < 0.97 else ScriptedReply(" word" * 500)
    first = _next_number(request.prompt)
    steps += [rng.choice(["Multiply them.", "Check the unit."]) for _ in range(rng.randint(0, 2))]
    if kind > 0.1:
        steps.append(f"The answer is {answer} mg.")
    if kind > 0.95:
        steps.append("word " * 500)
    if 0.5 < kind < 0.55:
        steps += ["But no.", f"The answer is {gold} mg."]
    text = " " + steps[0]
    for offset, step in enumerate(steps[1:], start=1):
        shift = 1 if rng.random() < 0.05 else 0
        text += f"\n\nStep {first + offset + shift}: {step}"
    return ScriptedReply(text)


def likelihood(prompt: Prompt, continuation: str) -> float:
    return -5.0 * random.Random(likelihood_key(prompt, continuation)).random()


class ToyScorer:
    """Scores that depend on the steps' texts alone."""

    async def score(self, question, bodies):
        return [random.Random(f"{question.content_hash}{bodies[: i + 1]}").random() for i in range(len(bodies))]


def make_tools(
    config: SearchConfig | None = None, *, seed: int = 7, prompt: str = "plain", shuffle: int | None = None, engine=None
) -> SearchTools:
    config = config or small_config()
    return SearchTools(
        engine=engine or ScriptedEngine(respond, likelihood=likelihood, shuffle=shuffle),
        verifier_for=lambda question: ToyVerifier(),
        prompt=TEMPLATES[prompt],
        config=config,
        seed=seed,
        scorer=ToyScorer() if config.simulation == "scorer" else None,
    )


def small_config(**changes) -> SearchConfig:
    settings = {
        "max_nodes": 24,
        "rollouts": 8,
        "min_rollouts": 3,
        "step_tokens": 40,
        "rollout_tokens": 120,
        "max_depth": 8,
    }
    return SearchConfig(**(settings | changes))


def _gold(prompt: Prompt) -> int:
    text = prompt.messages[-1].content
    weight = text.rsplit("weighs ", 1)[1].split(" kg")[0]
    return 2 * int(weight)


def _next_number(prompt: Prompt) -> int:
    return int(prompt.pieces[-1].split(":")[0].removeprefix("Step "))
