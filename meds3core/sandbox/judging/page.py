"""The experiment's figures as a section of Markdown, whatever they turned out to be."""

from meds3core.evaluation.paired import PairedDifference, p_text
from meds3core.sandbox.judging.config import NONE
from meds3core.sandbox.judging.run import Comparison, JudgingResult

_NAMES = {
    NONE: "rollouts alone",
    "queue": "the queue's rules",
    "information": "highest priority",
    "random": "chance",
}


def judging_section(result: JudgingResult) -> str:
    """What was done, who was better than whom and how surely, and what was judged."""
    config = result.config
    first = result.comparisons[0].figures[0]
    seeds = f"{len(config.seeds)} seeds" if len(config.seeds) > 1 else "One seed"
    lines = [
        "## Does judging pay?",
        "",
        f"{config.judgements:,} steps of the trees of {config.questions:,} clinic questions are judged by the step "
        f"checker with an error rate of {config.error_rate:g}, chosen in several ways. A reward model then learns from "
        f"rollouts and judgements together (weight {config.people.weight:g}, as many optimiser steps as from rollouts "
        f"alone) and is asked which steps of {first.trajectories:,} answers to {first.questions:,} other questions are "
        f"wrong. {seeds}, averaged within each resample of questions; thresholds of F1 were chosen on "
        f"{config.validation:,} validation questions, for each model by itself.",
        "",
        "A step is wrong *given the steps before it* when it adds an error of its own: what people judge, and what "
        "rollouts cannot see. *Absolutely* wrong is also what follows from an earlier error. Intervals and "
        "p-values are those of other questions, for these trainings; what other seeds may change is seen in the seeds "
        "beside them. "
        "A step that states a wrong answer has label 0 by rule, in all of them; priority never asks about one.",
        "",
        _table(
            ("steps chosen by", "judged", "found bad", "labels changed", "expected bits"),
            [
                (
                    _NAMES[each.arm],
                    _each(each.judged),
                    _each(each.bad),
                    _each(each.changed),
                    ", ".join(f"{value:.2f}" for value in each.information),
                )
                for each in result.judged
            ],
        ),
        "",
        _table(
            ("truth", "answers", "before", "after", "F1", "AUROC", "AUPRC", "first-error F1"),
            [row for each in result.comparisons for row in _rows(each)],
        ),
        "",
        verdict_words(result),
        "",
        f"All stages together took {result.seconds:,.0f} seconds.",
        "",
    ]
    return "\n".join(lines)


def verdict_words(result: JudgingResult) -> str:
    """Whether it paid: F1 of wrong steps given the steps before, by the intervals."""
    told = []
    for each in result.comparisons:
        found = each.of("given-prefix").f1
        if found is None:
            continue
        said = "more" if found.difference.low > 0 else "less" if found.difference.high < 0 else "no different"
        alone = f"; by seed {', '.join(f'{one:+.3f}' for one in each.seeds)}" if len(each.seeds) > 1 else ""
        told.append(
            f"{_NAMES[each.after][:1].upper()}{_NAMES[each.after][1:]} against {_NAMES[each.before]}: {said} "
            f"({_change(found)}, {p_text(found.p)}{alone})."
        )
    return "Step-error F1, given the steps before. " + " ".join(told)


def _rows(each: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            figures.truth,
            "all" if figures.scope == "all" else "right ones",
            _NAMES[each.before],
            _NAMES[each.after],
            _difference(figures.f1),
            _difference(figures.auroc),
            _difference(figures.auprc),
            _difference(figures.first_error_f1),
        )
        for figures in each.figures
    ]


def _difference(found: PairedDifference | None) -> str:
    if found is None:
        return "–"
    return f"{found.first:.3f} → {found.second:.3f} ({_change(found)})"


def _change(found: PairedDifference) -> str:
    change = found.difference
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def _each(counts: tuple[int, ...]) -> str:
    return ", ".join(f"{count:,}" for count in counts)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ("---",) * len(header), *rows))
