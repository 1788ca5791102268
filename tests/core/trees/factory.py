"""Grows random but consistent trees with plausible texts, for the tests and screenshots of tree files and reports."""

import random

from meds3core.text.steps import OPENER
from meds3core.types.question import (
    ChoiceFormat,
    Gold,
    NumberFormat,
    OpenQuestion,
    Option,
    Question,
    YesNoFormat,
)
from meds3core.types.tree import Move, Node, Provenance, RolloutSample, StopReason, Tree, TreeTotals

_DRUGS = ("amoxicillin", "paracetamol", "gentamicin", "cefotaxime", "ibuprofen", "vancomycin")
_OPENING = (
    "The patient's weight is the figure that matters here, together with the daily amount per kilogram.",
    "First collect what the question gives: the weight, the dose per kg and day, and the number of doses.",
    "The question asks for one dose, not for the whole day.",
    "We are told the weight and the dose per kilogram.\n\nThe number of doses a day is given too.",
)
_MIDDLE = (
    "Multiplying {dose} mg/kg by {weight} kg gives {daily} mg for the whole day.",
    "The daily amount is {dose} × {weight} = {daily} mg.",
    "The daily amount is {dose} + {weight} = {wrong} mg, which seems low but plausible.",
    "Since the drug is cleared by the kidneys, one has to think about renal function; nothing is said about it.",
    "The daily amount is divided into {count} doses, so that each dose is a {count}th of it.",
    "The maximum daily dose of {drug} is not exceeded, so no cap applies and the computed amount stands.",
)


def question(seed: int, *, identity: str | None = None, text: str | None = None) -> Question:
    """A dosing, triage or yes/no question; the kind changes with the seed."""
    rng = random.Random(f"question {seed}")
    drug, weight, dose, count = rng.choice(_DRUGS), rng.randint(4, 60), rng.choice((10, 30, 60)), rng.choice((2, 3, 4))
    kind = seed % 3
    name = identity or f"clinic-{('dosing', 'triage', 'labs')[kind]}-{seed:04d}"
    if kind == 0:
        words = (
            f"A child of {weight} kg is to receive {drug}, {dose} mg per kg and day in {count} doses. "
            "How many mg is one dose?"
        )
        gold = f"{weight * dose / count:g} mg"
        return Question(
            id=name, text=text or words, answer_format=NumberFormat(unit="mg"), source="clinic", domain="dosing",
            gold=Gold(value=gold),
        )  # fmt: skip
    if kind == 1:
        places = ("treat at home", "admit to a ward", "admit to intensive care", "refer to a day clinic")
        options = tuple(Option(letter="ABCD"[i], text=place) for i, place in enumerate(places))
        lines = "\n".join(f"{option.letter}. {option.text}" for option in options)
        words = (
            f"A patient of {weight + 40} years with pneumonia has a respiratory rate of {20 + seed % 15}/min, "
            f"urea {5 + seed % 9} mmol/l, blood pressure {88 + seed % 40}/58 mmHg and is oriented. "
            f"What should be done?\n{lines}"
        )
        return Question(
            id=name, text=text or words, answer_format=ChoiceFormat(options=options), source="clinic-mc",
            domain="triage", gold=Gold(value=rng.choice("ABC")),
        )  # fmt: skip
    words = f"Sodium 138, chloride {96 + seed % 12}, bicarbonate {12 + seed % 14} mmol/l. Is the anion gap raised?"
    return Question(
        id=name, text=text or words, answer_format=YesNoFormat(), source="clinic", domain="acid-base",
        gold=Gold(value=rng.choice(("yes", "no"))),
    )  # fmt: skip


def _with_some_gold(asked: OpenQuestion) -> Question:
    form = asked.answer_format
    gold = "yes" if isinstance(form, YesNoFormat) else "A" if isinstance(form, ChoiceFormat) else "1 mg"
    return Question(**asked.model_dump(), gold=Gold(value=gold))


def _wrong(q: Question, rng: random.Random) -> str:
    if isinstance(q.answer_format, ChoiceFormat):
        return rng.choice([option.letter for option in q.answer_format.options if option.letter != q.gold.value])
    if isinstance(q.answer_format, YesNoFormat):
        return "no" if q.gold.value == "yes" else "yes"
    return f"{rng.randint(20, 4000)} mg"


def tree(seed: int, *, size: int = 40, of: Question | OpenQuestion | None = None) -> Tree:
    """A tree of about `size` nodes: drops, reflections, truncated steps, copies and closing moves included.

    Values are the mean of the children's by visits, so that the tree looks like one that was searched.
    """
    rng = random.Random(f"tree {seed}")
    asked = of or question(seed)
    judged = asked if isinstance(asked, Question) else _with_some_gold(asked)
    skill = rng.random() ** 1.6
    nodes: list[dict[str, object]] = [dict(id=0, parent=-1, depth=0, move=Move.ROOT, text=OPENER, visits=0)]
    quality = [skill]
    open_leaves = [0]
    while open_leaves and len(nodes) <= size:
        parent = open_leaves.pop(rng.randrange(min(3, len(open_leaves))))
        depth = int(str(nodes[parent]["depth"])) + 1
        reflecting = nodes[parent]["move"] is Move.FINISH
        for _ in range(rng.randint(1, 3) if parent else 3):
            belief = min(1.0, max(0.0, quality[parent] + rng.gauss(-0.02, 0.22)))
            finish = depth > 1 and rng.random() < 0.1 * (depth - 1)
            node = _node(len(nodes), parent, depth, belief, finish, reflecting, judged, rng)
            nodes.append(node)
            quality.append(belief)
            reflectable = node["verdict"] is False and not reflecting and rng.random() < 0.3
            if reflectable or (node["answer"] is None and not node["truncated"]):
                open_leaves.append(len(nodes) - 1)
        if sum(node.get("verdict") is True for node in nodes) >= 4:
            break
    _back_up(nodes)
    if not isinstance(asked, Question):
        for node in nodes:
            node["verdict"], node["outcomes"], node["samples"] = None, (), ()
    made = tuple(Node(**node) for node in nodes)  # type: ignore[arg-type]
    rollouts = sum(len(node.outcomes) for node in made)
    solved = sum(node.verdict is True for node in made)
    stop = StopReason.ENOUGH_CORRECT if solved >= 4 else StopReason.MAX_NODES
    if not open_leaves:
        stop = StopReason.COMPLETE
    return Tree(
        question=asked,
        provenance=Provenance(
            policy="clinic-base", policy_hash="ab12", engine="scripted", prompt="plain@1", prompt_hash="cd34",
            config_hash="ef56", seed=seed,
        ),
        stop_reason=stop,
        totals=TreeTotals(
            requests=len(made) + rollouts, rollouts=rollouts, generated_tokens=rollouts * 61 + len(made) * 28,
            prompt_tokens=len(made) * 140,
        ),
        nodes=made,
    )  # fmt: skip


def _node(
    index: int, parent: int, depth: int, belief: float, finish: bool, reflecting: bool, q: Question, rng: random.Random
) -> dict[str, object]:
    drug, weight, dose, count = rng.choice(_DRUGS), rng.randint(4, 60), rng.choice((10, 30, 60)), rng.choice((2, 3, 4))
    facts = dict(drug=drug, weight=weight, dose=dose, count=count, daily=weight * dose, wrong=weight + dose)
    text = rng.choice(_OPENING if depth == 1 else _MIDDLE).format(**facts)
    answer = verdict = None
    truncated = not finish and rng.random() < 0.04
    if finish or reflecting:
        verdict = rng.random() < belief
        answer = q.gold.value if verdict else _wrong(q, rng)
        text = f"{text} The answer is {answer}."
    if reflecting:
        text = "But wait, the number of doses has not been used yet. " + text
    if truncated:
        text = text[: len(text) // 2]
    outcomes = (
        () if answer or truncated else tuple(int(rng.random() < belief) for _ in range(max(20 // (depth + 1), 5)))
    )
    samples = tuple(
        RolloutSample(
            text=f"Step {depth + 1}: {rng.choice(_MIDDLE).format(**facts)}\n\nStep {depth + 2}: The answer is {said}.",
            answer=said,
            correct=right,
        )
        for right in (True, False)
        if int(right) in outcomes
        for said in [q.gold.value if right else _wrong(q, rng)]
    )
    value = float(verdict) if verdict is not None else 0.0 if truncated else sum(outcomes) / len(outcomes)
    return dict(
        id=index, parent=parent, depth=depth, text=text, answer=answer, verdict=verdict, truncated=truncated,
        move=Move.REFLECT if reflecting else Move.FINISH if finish else Move.REASON, outcomes=outcomes,
        rollout_value=value, value=value, visits=0, samples=samples, copies=2 if rng.random() < 0.05 else 1,
        complete=answer is not None or truncated, closing=finish and rng.random() < 0.1,
        written_number=depth + 1 if rng.random() < 0.03 else None,
    )  # fmt: skip


def _back_up(nodes: list[dict[str, object]]) -> None:
    """Visits count a node and all below it; values are the visit-weighted mean of the children's."""
    below: dict[int, list[dict[str, object]]] = {}
    for node in reversed(nodes):
        children = below.get(int(str(node["id"])), [])
        visits = int(bool(node["parent"] != -1)) + sum(int(str(child["visits"])) for child in children)
        node["visits"] = visits
        if children and node.get("verdict") is not False:
            weight = sum(int(str(child["visits"])) for child in children)
            total = sum(float(str(child["value"])) * int(str(child["visits"])) for child in children)
            node["value"] = min(1.0, round(total / weight, 6))
        below.setdefault(int(str(node["parent"])), []).append(node)
