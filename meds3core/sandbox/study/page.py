"""Writes `docs/results.md` from the study's figures. What is concluded is decided by rule, from intervals alone."""

import os
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from meds3core.data.write import atomic_text
from meds3core.evaluation.paired import SeedDifferences
from meds3core.evolution.processes import gpu_present
from meds3core.report.wording import NOTHING, percent, plain, points
from meds3core.sandbox.study.conclusions import (
    best_words,
    cautions,
    claim_words,
    error_words,
    iteration_words,
    margin,
    ranking_words,
    tree_words,
)
from meds3core.sandbox.study.config import LabelVariant
from meds3core.sandbox.study.graph import FINAL
from meds3core.sandbox.study.result import LabelStudy, RewardLine, StudyResult
from meds3core.sandbox.study.wanted import Wanted, wanted_figures
from meds3core.types.labels import LabelKind

BESIDE = ("results-judging.md", "results-notes.md")
"""Files beside the page that end it: what `meds3 sandbox judging` wrote, and what a person wrote."""


def write_page(result: StudyResult, page: Path, *, today: date | None = None) -> None:
    """Write the page with what stands beside it, whole or not at all."""
    others = [place.read_text(encoding="utf-8") for name in BESIDE if (place := page.with_name(name)).exists()]
    with atomic_text(page) as file:
        file.write("\n".join([page_text(result, today or date.today()), *others]))


def page_text(result: StudyResult, today: date) -> str:
    """The page but what stands beside it."""
    sections = [
        _head(result, today),
        _wanted(result),
        _stages(result),
        _iterations(result),
        _strategies(result),
        _headroom(result),
        _labels(result),
        _tree(result),
        _settings(result),
        _costs(result),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _head(result: StudyResult, today: date) -> str:
    seeds, config = result.seeds, result.config
    count = f"{len(seeds)} seeds ({', '.join(map(str, seeds))})" if len(seeds) > 1 else f"one seed only ({seeds[0]})"
    warning = "".join(f"\n\n**{caution}**" for caution in cautions(result))
    gpu = " and a GPU" if gpu_present() else ", without a GPU"
    return f"""# Results: what the loop is worth on the synthetic clinic

Written by `meds3 sandbox study` (`make results`) on {today.isoformat()}, on {_cores()} cores{gpu}.
Every sentence that concludes something is chosen by rule from the intervals beside it.{warning}

{config.held_out:,} held-out questions, the same for everything; {count} of the whole loop: training questions, search,
training and sampling differ. {config.validation:,} other questions of the test space, none with the parameters of a
held-out one, choose strategies and thresholds. Figures are means over seeds. Intervals (95%) and p-values are paired
bootstraps over questions, every question averaged over the seeds first.

The gain is *elicitation*: the base knows the right way beside the planted misconception, as a minority
([sandbox.md](sandbox.md)). It says nothing about real medical questions."""


def _wanted(result: StudyResult) -> str:
    rows = [(line.wanted, line.measured, _verdict(line)) for line in wanted_figures(result)]
    return (
        "## What was wanted, and what came out\n\n"
        + _table(("wanted", "measured", ""), rows)
        + "\n\nDifferences are in percentage points. AUROC: a step is an error unless every value in it is the right "
        "solution's (*absolute*); the labels in brackets were chosen on the validation questions of the first seed."
    )


def _verdict(line: Wanted) -> str:
    """A miss stands out."""
    return f"**{line.verdict}**" if line.met is False else line.verdict


def _stages(result: StudyResult) -> str:
    greedy, sound = [], []
    for stage in result.stages:
        greedy.append(
            (
                stage.name,
                percent(stage.accuracy),
                _over_seeds(stage.against_base),
                _over_seeds(stage.against_parent) if stage.after and stage.after != "base" else NOTHING,
                stage.description,
            )
        )
        sound.append((stage.name, percent(stage.sound), _over_seeds(stage.sound_against_base)))
    return (
        "## What each stage was worth\n\nGreedy answers.\n\n"
        + _table(("policy", "right", "against base", "against what it was trained from", "what it is"), greedy)
        + "\n\nEvery step and the answer right.\n\n"
        + _table(("policy", "sound", "against base"), sound)
        + ("\n\nIn brackets after *seeds*: each seed's own difference." if len(result.seeds) > 1 else "")
    )


def _iterations(result: StudyResult) -> str:
    if not result.against_first:
        return ""
    rows = [(name, _over_seeds(found)) for name, found in result.against_first]
    numbers = [
        (f"seed {loop.seed}", name, _figures(figures))
        for loop in result.loops
        for name, figures in loop.figures.items()
    ]
    words = " ".join(iteration_words(result))
    return (
        "## Iteration 2 and DPO against iteration 1\n\n"
        + _table(("policy", "greedy, against SFT of iteration 1"), rows)
        + f"\n\n{words}\n\n<details><summary>What the stages of the loops held</summary>\n\n"
        + _table(("", "stage", "figures"), numbers)
        + "\n\n</details>"
    )


def _strategies(result: StudyResult) -> str:
    if result.kept is None or result.chosen is None:
        return ""
    variant = result.chosen.selection
    rows = []
    for line in result.kept.lines:
        if line.variant != variant:
            continue
        for at in line.by_n:
            found = at.difference.mean
            rows.append(
                (
                    line.policy,
                    str(at.n),
                    f"{100 * found.first:.1f}%",
                    f"{100 * found.second:.1f}%",
                    _over_seeds(at.difference),
                    f"{100 * at.oracle:.1f}%",
                )
            )
    chosen = [(line.policy, ", ".join(line.strategies)) for line in result.kept.lines if line.variant == variant]
    steps = [
        (
            line.policy,
            str(seed),
            f"{found.flag_below:.3f}",
            plain(found.f1),
            plain(found.first_error.f1),
            plain(found.calibration_error),
        )
        for line in result.kept.lines
        if line.variant == result.chosen.finding
        for seed, found in zip(result.seeds, line.steps, strict=False)
    ]
    return (
        "## A reward model against self-consistency\n\n"
        f"PRM trained on {_variant(variant)}, the best for selection on the validation questions of the first seed; "
        "strategy and aggregator chosen on the validation questions of each seed with "
        f"{result.config.sampling.n} samples.\n\n"
        + _table(("samples of", "strategy chosen, by seed"), chosen)
        + "\n\n"
        + _table(("samples of", "n", "self-consistency", "PRM", "difference", "any of the n right"), rows)
        + f"\n\nFinding wrong steps with {_variant(result.chosen.finding)}, flagged under the threshold with the best "
        "F1 on the validation questions:\n\n"
        + _table(("samples of", "seed", "threshold", "F1", "first-error F1", "calibration error"), steps)
    )


def _headroom(result: StudyResult) -> str:
    study = result.headroom
    if study is None:
        return ""
    kinds = sorted({kind for each in study.errors for kind in each.kinds})
    errors = [
        (each.policy, f"{sum(each.kinds.values()):.1f}", *(f"{each.kinds.get(kind, 0.0):.1f}" for kind in kinds))
        for each in study.errors
    ]
    families = [
        (
            each.policy,
            each.name,
            *(f"{100 * share:.0f}%" for share in (each.consensus, each.chosen, each.oracle)),
            f"{each.mixed:.0f}",
            plain(each.ranking),
        )
        for each in study.families
    ]
    header = ("samples of", "family", "self-consistency", "PRM", "any right", "mixed questions", "right above wrong")
    return (
        "## What is left to gain\n\n"
        "Wrong greedy answers per 100 questions, by the first new error that the step checker finds in them.\n\n"
        + _table(("policy", "wrong", *kinds), errors)
        + f"\n\n{error_words(study)}\n\n"
        f"Samples by family; PRM trained on {_variant(study.variant)}. *Right above wrong*: among the samples of one "
        "question that has both, the chance that a right answer scores above a wrong one (0.5: a coin).\n\n"
        + _table(header, families)
        + f"\n\n{ranking_words(study)}"
    )


def _labels(result: StudyResult) -> str:
    studies = [study for study in (result.kept, result.grid) if study is not None]
    if not studies:
        return ""
    config = result.config
    text = (
        "## Kinds of step labels\n\nSame trees, same policy to start from, same optimiser steps. Fewer rollouts are "
        "drawn from the stored ones. The judge of `consensus` and in place of people for `human` is the step checker "
        f"(right given the steps before), made to err on {config.judge_error_rate:.0%} of steps. *Selection*: the "
        f"strategy chosen on validation questions against self-consistency, n = {config.sampling.n}. "
        "Intervals are not widened for the number of kinds compared."
    )
    for study in studies:
        runs = f"{study.runs} seeds" if study.runs > 1 else "the first seed"
        which = "The best ones" if study is result.kept else "All kinds"
        text += f"\n\n### {which}, on {runs}, {study.questions:,} questions\n\n"
        text += f"- {best_words(study.selection)}\n- {best_words(study.finding)}\n- {claim_words(study)}\n\n"
        text += _label_tables(study)
    return text


def _label_tables(study: LabelStudy) -> str:
    header = ("labels", "values", "rollouts", "selection, base", "selection, final", "strategy (base; final)")
    areas = ("labels", "values", "rollouts", "policy", "AUROC", "inside right answers", "given prefix", "inside right")
    first, second = [], []
    for variant in dict.fromkeys(line.variant for line in study.lines):
        base, final = (_line(study, variant, policy) for policy in ("base", FINAL))
        named = _columns(variant)
        first.append(
            (
                *named,
                f"{100 * base.last.difference.mean.second:.1f}%, {points(base.last.difference.mean)}",
                f"{100 * final.last.difference.mean.second:.1f}%, {points(final.last.difference.mean)}",
                "; ".join(", ".join(dict.fromkeys(line.strategies)) for line in (base, final)),
            )
        )
        for line in (base, final):
            figures = [
                plain(line.area(truth, scope).mean)
                for truth in ("absolute", "given-prefix")
                for scope in ("all", "right-answers")
            ]
            second.append((*named, line.policy, *figures))
    return _table(header, first) + "\n\nStep-error AUROC:\n\n" + _table(areas, second)


def _tree(result: StudyResult) -> str:
    if result.tree is None:
        return ""
    tree = result.tree
    rows = [
        (
            ", ".join(rival.names) + (" (chosen on validation)" if rival.role == "chosen" else ""),
            ", ".join(map(str, rival.n)) + ("" if rival.enough else " (the budget paid for more than were drawn)"),
            f"{rival.tokens:,.0f}",
            f"{100 * rival.difference.mean.first:.1f}%",
            f"{100 * rival.difference.mean.second:.1f}%",
            _over_seeds(rival.difference),
        )
        for rival in tree.rivals
    ]
    return (
        "## Tree search at inference, at equal tokens\n\n"
        f"The last policy on the first {tree.questions:,} held-out questions. A tree took {tree.tokens:,.0f} tokens "
        f"per question (generated plus scored by the reward model, {tree.nodes:.1f} nodes); the others got as many "
        "samples as cost no more.\n\n"
        + _table(("against", "n by seed", "tokens", "it", "tree search", "tree search minus it"), rows)
        + f"\n\n{tree_words(tree)}"
    )


def _settings(result: StudyResult) -> str:
    config = result.config
    loop = config.loop
    prm = loop.prm
    assert prm is not None
    lines = [
        f"questions per iteration {loop.questions.quotas.count}, {loop.iterations} iterations; search: at most "
        f"{loop.search.max_nodes} nodes, {loop.search.min_rollouts} rollouts per node, backup `{loop.search.backup}`",
        f"SFT: learning rate {loop.sft.learning_rate:g}, {loop.sft.epochs:g} epochs, at most "
        f"{loop.sft_labels.per_question} trajectories per question; DPO: {loop.dpo.learning_rate:g}, "
        f"{loop.dpo.epochs:g} epochs, gap {loop.pair_labels.gap:g}",
        f"PRM: learning rate {prm.learning_rate:g}, {prm.epochs:g} epochs, batch {prm.batch_size}, loss `{prm.loss}`; "
        f"trees of {'all iterations' if loop.reward_trees == 'all' else 'the newest iteration'}"
        + (", questions with right and wrong trajectories only" if loop.step_labels.both_outcomes else "")
        + f"; the loop's own labels: {loop.step_labels.label.value}, values `{loop.step_labels.source}`",
        f"samples: {config.sampling.n} per question at temperature {config.sampling.draw.temperature:g}, top-p "
        f"{config.sampling.draw.top_p:g}",
        "every setting, and every figure of this page with its interval: [results.json](results.json)",
    ]
    return "## Settings\n\n" + "\n".join(f"- {line}" for line in lines)


def _costs(result: StudyResult) -> str:
    rows = [
        (one.kind, f"{one.stages}", f"{one.seconds:,.0f}", f"{one.processor_seconds:,.0f}") for one in result.seconds
    ]
    total = sum(one.seconds for one in result.seconds)
    work = sum(one.processor_seconds for one in result.seconds)
    rows.append(("all", str(sum(one.stages for one in result.seconds)), f"{total:,.0f}", f"{work:,.0f}"))
    return (
        "## What it took\n\n"
        + _table(("stages", "count", "seconds", "processor seconds"), rows)
        + "\n\nSeconds of all stages together; as many run at once as there are processes."
    )


def _over_seeds(found: SeedDifferences | None) -> str:
    if found is None:
        return NOTHING
    text = points(found.mean)
    if len(found.seeds) > 1:
        text += " (seeds " + ", ".join(margin(seed.difference.value) for seed in found.seeds) + ")"
    return text


def _line(study: LabelStudy, variant: LabelVariant, policy: str) -> RewardLine:
    return next(line for line in study.lines if (line.variant, line.policy) == (variant, policy))


def _columns(variant: LabelVariant) -> tuple[str, str, str]:
    if variant.label is LabelKind.HUMAN:
        return variant.kind, NOTHING, NOTHING
    return variant.kind, variant.source, str(variant.rollouts)


def _variant(variant: LabelVariant) -> str:
    if variant.label is LabelKind.HUMAN:
        return f"`{variant.kind}` labels"
    return f"`{variant.kind}` labels (values: {variant.source}, {variant.rollouts} rollouts)"


def _figures(figures: dict[str, object]) -> str:
    shown = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    return ", ".join(
        f"{name.replace('_', ' ')} {value:,}" if isinstance(value, int) else f"{name.replace('_', ' ')} {value:.4g}"
        for name, value in shown.items()
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
