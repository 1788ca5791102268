"""An evaluation, or two side by side, as one self-contained HTML file.

Figures, charts and tables are written here and can be read without script; the script switches lines on and off and
opens questions. A question's answers are packed and unpacked only when it is opened (see `standalone`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from meds3core.evaluation.compare import Comparison
from meds3core.evaluation.record import Evaluation, QuestionRow, Response, StoredEvaluation
from meds3core.report.comparison import comparison_sections, comparison_totals, names_of, total
from meds3core.report.sections import sections_of
from meds3core.report.standalone import (
    asset,
    environment,
    inert_json,
    packed,
    script_of,
    source_hash,
    write_pieces,
)
from meds3core.report.wording import percent, plain
from meds3core.types.samples import SampleSource

SCRIPTS = ("base.js", "evaluation.js")
PREVIEW = 400
"""Characters of a question that the list knows; the opened question has the whole text."""

_RESULTS = (("right", "right"), ("wrong", "wrong"), ("none", "no answer"))
_CHANGES = (("won", "won: only the second is right"), ("lost", "lost: only the first is right"),
            ("both", "both right"), ("neither", "neither right"))  # fmt: skip


def write_evaluation_page(stored: StoredEvaluation, out: Path, *, title: str = "", notes: Sequence[str] = ()) -> None:
    """Write the page of one evaluation. It appears whole or not at all, and is a function of its arguments."""
    evaluation = stored.evaluation
    entries, blobs = [], []
    for each in stored.rows:
        entries.append(_entry(each, _outcome(each), _counts(each)))
        blobs.append(packed(inert_json(_opened(each, [_side(evaluation.policy, each, _chosen_labels(evaluation))]))))
    _write(
        out,
        title or f"Evaluation of {evaluation.policy}",
        subtitle=f"{evaluation.questions:,} questions, prompt {evaluation.prompt}",
        notes=[*evaluation.notes, *notes],
        totals_of=totals_of(evaluation),
        sections=sections_of(evaluation),
        results=_RESULTS,
        provenance=provenance_of(evaluation),
        entries=entries,
        blobs=blobs,
    )


def write_comparison_page(
    comparison: Comparison, first: StoredEvaluation, second: StoredEvaluation, out: Path, *, title: str = ""
) -> None:
    """Write the page of two evaluations: differences, wins and losses, every question with both sides' answers."""
    names = names_of(comparison)
    by_hash = {each.question.content_hash: each for each in first.rows}
    entries, blobs = [], []
    for each in second.rows:
        other = by_hash.get(each.question.content_hash)
        if other is None:
            continue
        entries.append(_entry(each, _change(other, each), _answers(other, each)))
        sides = [
            _side(name, side, _chosen_labels(of.evaluation))
            for name, side, of in ((names[0], other, first), (names[1], each, second))
        ]
        blobs.append(packed(inert_json(_opened(each, sides))))
    _write(
        out,
        title or f"{names[0]} against {names[1]}",
        subtitle=f"{comparison.questions:,} questions; differences are {names[1]} minus {names[0]}",
        notes=list(comparison.notes),
        totals_of=comparison_totals(comparison, names),
        sections=comparison_sections(comparison, names),
        results=_CHANGES,
        provenance=[
            *((f"First: {name}", value) for name, value in provenance_of(first.evaluation)),
            *((f"Second: {name}", value) for name, value in provenance_of(second.evaluation)),
        ],
        entries=entries,
        blobs=blobs,
    )


def _write(out: Path, title: str, *, entries: list[dict[str, Any]], blobs: list[str], **context: Any) -> None:
    script, style = script_of(SCRIPTS), asset("page.css") + asset("evaluation.css")
    pieces = (
        environment()
        .get_template("evaluation.html.j2")
        .generate(
            title=title,
            script=Markup(script),
            script_hash=source_hash(script),
            style=Markup(style),
            style_hash=source_hash(style),
            index=Markup(inert_json({"title": title, "questions": entries})),
            blobs=blobs,
            **context,
        )
    )
    write_pieces(out, pieces)


# --- totals -------------------------------------------------------------------------------------------------------


def totals_of(evaluation: Evaluation) -> list[dict[str, str]]:
    """The figures at the head of an evaluation: name, value, and a note with the interval."""
    items = []
    if evaluation.greedy is not None:
        items.append(total("Greedy", percent(evaluation.greedy.micro), f"of {evaluation.greedy.questions:,}"))
    if evaluation.selection is not None:
        items.append(total(evaluation.selection.chosen.label, percent(evaluation.selection.test)))
    steps = evaluation.greedy_steps or evaluation.sampled_steps
    if steps is not None:
        items.append(total("Every step and the answer right", percent(steps.sound)))
    figures = evaluation.greedy or evaluation.sampled
    if figures is not None:
        items.append(total("No answer found", percent(figures.no_answer)))
        tokens = f"{figures.tokens.value:.0f} [{figures.tokens.low:.0f}, {figures.tokens.high:.0f}]"
        items.append(total("Tokens per answer", tokens))
    for name, scorer in evaluation.scorers.items():
        if scorer.steps:
            items.append(total(f"Wrong steps found, AUROC ({name})", plain(scorer.steps[0].auroc)))
    items.append({"name": "Questions", "value": f"{evaluation.questions:,}", "note": _failed(evaluation)})
    return items


def _failed(evaluation: Evaluation) -> str:
    return f"{len(evaluation.failed):,} more failed" if evaluation.failed else "none failed"


# --- questions ----------------------------------------------------------------------------------------------------


def _entry(each: QuestionRow, outcome: str, also: str) -> dict[str, str]:
    question = each.question
    return {
        "key": question.id,
        "id": question.id,
        "source": question.source,
        "domain": question.domain,
        "outcome": outcome,
        "also": also,
        "text": " ".join(question.text[:PREVIEW].split()),
    }


def _outcome(each: QuestionRow) -> str:
    """Of the greedy answer, else of most samples."""
    if each.greedy is not None:
        return _of(each.greedy)
    right = sum(sample.correct is True for sample in each.samples)
    if not any(sample.answer is not None for sample in each.samples):
        return "none"
    return "right" if 2 * right > len(each.samples) else "wrong"


def _of(response: Response) -> str:
    return "right" if response.correct else "none" if response.answer is None else "wrong"


def _counts(each: QuestionRow) -> str:
    right = sum(sample.correct is True for sample in each.samples)
    return f"{right}/{len(each.samples)} samples right" if each.samples else ""


def _change(first: QuestionRow, second: QuestionRow) -> str:
    before, after = _outcome(first) == "right", _outcome(second) == "right"
    return {(True, True): "both", (False, True): "won", (True, False): "lost", (False, False): "neither"}[before, after]


def _answers(first: QuestionRow, second: QuestionRow) -> str:
    if first.greedy is None or second.greedy is None:
        return ""
    return f"{first.greedy.answer or '–'} → {second.greedy.answer or '–'}"[:60]


def _chosen_labels(evaluation: Evaluation) -> list[str]:
    """Strategies worth showing beside a question: the chosen one and those it was set against."""
    if evaluation.selection is None:
        return []
    against = [each.other.label for each in evaluation.selection.against]
    return [evaluation.selection.chosen.label, *against]


def _opened(each: QuestionRow, sides: list[dict[str, Any]]) -> dict[str, Any]:
    scored = any(part["scores"] for side in sides for part in [*side["samples"], *filter(None, [side["greedy"]])])
    return {"text": each.question.text, "gold": each.question.gold.value, "sides": sides, "scored": scored}


def _side(name: str, each: QuestionRow, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "strategies": [
            (label, f"{100 * each.strategies[label]:.0f}% right") for label in labels if label in each.strategies
        ],
        "greedy": _response(each.greedy) if each.greedy else None,
        "samples": [_response(sample) for sample in each.samples],
    }


def _response(given: Response) -> dict[str, Any]:
    weakest = [f"{name}: weakest {min(values[1:] or values):.2f}" for name, values in given.scores.items() if values]
    return {
        "bodies": given.bodies,
        "answer": given.answer,
        "correct": given.correct,
        "cut": given.cut,
        "flawed": given.correct is True and given.sound is False,
        "right": given.steps_right,
        "scores": list(given.scores.items()),
        "said": ", ".join([f"{given.tokens} tokens", *weakest]),
    }


def provenance_of(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What it was made with, name by name."""
    facts = [
        ("Policy", f"{evaluation.policy} ({evaluation.policy_hash[:16] or 'hash not told'})"),
        ("Prompt", f"{evaluation.prompt} ({evaluation.prompt_hash[:16]})"),
    ]
    for name, source in (("Greedy answers", evaluation.greedy_source), ("Samples", evaluation.sample_source)):
        if source is not None:
            facts.append((name, _drawn(source)))
    for name, scorer in evaluation.scorers.items():
        facts.append((f"Scores “{name}”", f"{scorer.source.model} ({scorer.source.model_hash[:16]})"))
    for name, shape in evaluation.shapes.items():
        options = ", ".join(
            f"{count:,} with {number} options" if number else f"{count:,} open"
            for number, count in shape.options.items()
        )
        facts.append((f"Questions of {name or 'no source'}", f"{shape.questions:,}: {options}"))
    config = evaluation.config
    facts.append(
        ("Intervals", f"{100 * config.level:.0f}%, {config.resamples:,} resamples of questions, seed {config.seed}")
    )
    return facts


def _drawn(source: SampleSource) -> str:
    how = "greedily" if source.temperature == 0 else f"at temperature {source.temperature:g}, top-p {source.top_p:g}"
    return f"{source.n} a question, {how}, by {source.engine}, seed {source.seed}"
