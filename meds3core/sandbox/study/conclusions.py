"""Sentences that conclude something, chosen by comparing intervals: the same figures always give the same words."""

from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import SeedDifferences
from meds3core.sandbox.study.compared import Behind, Compared, DualClaim
from meds3core.sandbox.study.config import LabelVariant
from meds3core.sandbox.study.headroom import ALL, HeadroomStudy
from meds3core.sandbox.study.result import LabelStudy, StudyResult, TreeStudy
from meds3core.types.labels import LabelKind

_PURPOSE = {"selection": "choosing among samples", "finding": "finding wrong steps"}


def margin(share: float) -> str:
    """`+1.2`, in points."""
    return f"{100 * share:+.1f}".replace("-", "−")


def interval(found: Estimate, *, points: bool = True) -> str:
    """`+1.2 [+0.3, +2.1]` in points, or `+0.012 [+0.003, +0.021]`."""
    if points:
        return f"{margin(found.value)} [{margin(found.low)}, {margin(found.high)}]"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]".replace("-", "−")


def named(variant: LabelVariant) -> str:
    """A kind of labels with what else distinguishes it."""
    if variant.label is LabelKind.HUMAN:
        return f"`{variant.kind}`"
    return f"`{variant.kind}` ({variant.source}, {variant.rollouts} rollouts)"


def cautions(result: StudyResult) -> list[str]:
    """What a reader must know before the figures; nothing where the study is whole."""
    said = [] if result.finished else ["The study is not finished: this page holds what there is so far."]
    if len(result.seeds) < 3:
        count = "One seed" if len(result.seeds) == 1 else "Two seeds"
        said.append(
            f"{count} only: intervals tell how other questions would change the figures, not how another search and "
            "training would."
        )
    return said


def best_words(found: Compared) -> str:
    """Which kind is best for this, and which cannot be told from it."""
    best, others = found.order[0], found.order[1:]
    purpose = _PURPOSE[found.criterion]
    figure = f"{100 * best.value:.1f}%" if found.criterion == "selection" else f"AUROC {best.value:.3f}"
    if not others:
        return f"For {purpose} only {named(best.variant)} was measured ({figure})."
    level = [other for other in others if other.level]
    behind = [other for other in others if not other.level]
    head = f"For {purpose}, {named(best.variant)} measured best ({figure}, mean of base and final)"
    if not level:
        next_one = _distance(found, others[0])
        return f"{head}, **beyond the interval** ahead of all {len(others)} others; the next is {next_one}."
    if not behind:
        return f"{head}, but **none of the {len(others)} others can be told from it**."
    listed = ", ".join(named(other.variant) for other in level)
    nearest = _distance(found, behind[0])
    return f"{head}; **not to be told from it**: {listed}. {len(behind)} are worse, the nearest {nearest}."


def claim_words(study: LabelStudy) -> str:
    """Whether the paper's claim for the dual label holds here."""
    if not study.claims:
        return "The paper's claim for the dual label: no soft or hard labels under equal conditions to judge it by."
    said = {verdict(claim.selection) for claim in study.claims}
    finding = [verdict(claim.finding) for claim in study.claims if claim.finding is not None]
    if said == {"better"}:
        head = "**holds**: for choosing it is better than every soft and hard label under equal conditions"
    elif "better" not in said and "worse" not in said:
        head = "**is not confirmed**: for choosing it cannot be told from soft and hard labels"
    elif "better" not in said:
        head = "**does not hold**: for choosing it is better than no soft or hard label, and worse than some"
    elif "worse" not in said:
        head = "**holds in part**: for choosing it is better than some soft or hard labels, worse than none"
    else:
        head = "**is mixed**: for choosing it is better than some soft or hard labels and worse than others"
    extra = ""
    if finding:
        count = {word: finding.count(word) for word in ("better", "worse", "no different")}
        extra = "; for finding wrong steps it is " + ", ".join(
            f"{word} in {times}" for word, times in count.items() if times
        )
        extra += f" of {len(finding)} comparisons"
    seeds = f"{study.runs} seeds" if study.runs > 1 else "one seed"
    listed = "; ".join(_claim(claim) for claim in study.claims)
    return f"The paper's claim for the dual label {head}{extra} ({seeds}; dual minus other: {listed})."


def verdict(found: Estimate) -> str:
    """What an interval of a difference says."""
    if found.low > 0:
        return "better"
    return "worse" if found.high < 0 else "no different"


def tree_words(tree: TreeStudy) -> str:
    """Tree search against each rival."""
    said = [f"{verdict(rival.difference.mean.difference)} than {_rival(rival.role)}" for rival in tree.rivals]
    text = "At equal tokens tree search is " + ", ".join(said) + "."
    return text.replace("no different than", "not to be told from")


def iteration_words(result: StudyResult) -> list[str]:
    """What iteration 2 and DPO brought, and where to look if it is nothing."""
    words = []
    for name, found in result.against_first:
        words.append(f"{name}: {_brought(found)}.")
    stages = {stage.name: stage for stage in result.stages}
    last = stages.get(result.final)
    if last is not None and last.against_parent is not None and last.after:
        words.append(f"{last.name} against {last.after}, which it was trained from: {_brought(last.against_parent)}.")
    final = dict(result.against_first).get(result.final)
    if final is None or verdict(final.mean.difference) == "better":
        return words
    line = None
    if result.kept is not None:
        line = next((each for each in result.kept.lines if each.policy == "final"), None)
    if line is not None and last is not None:
        left = line.last.oracle - last.accuracy.value
        words.append(
            f"Headroom is {'left' if left > 0.05 else 'nearly exhausted'}: one of {line.last.n} samples of the last "
            f"policy is right for {100 * line.last.oracle:.1f}% of questions, its greedy answer for "
            f"{100 * last.accuracy.value:.1f}%."
        )
    if final.spread > abs(final.mean.difference.value):
        words.append(
            f"Seeds differ by more (standard deviation {100 * final.spread:.1f} points) than the mean difference."
        )
    words.append(_searches(result))
    return [word for word in words if word]


def _searches(result: StudyResult) -> str:
    """How much of iteration 2's search was new to learn from."""
    solved, kept = [], []
    for loop in result.loops:
        trees = [loop.figures.get(f"trees-{number}", {}) for number in (1, 2)]
        if all(each.get("trees") for each in trees):
            solved.append([each["solved"] / each["trees"] for each in trees])
        sets = [loop.figures.get(f"sft-set-{number}", {}).get("kept") for number in (1, 2)]
        pairs = loop.figures.get("pairs-2", {}).get("kept")
        if all(sets) and pairs is not None:
            kept.append((*sets, pairs))
    if not solved or not kept:
        return ""
    first, second = (sum(each[place] for each in solved) / len(solved) for place in (0, 1))
    one, both, pairs = (sum(each[place] for each in kept) / len(kept) for place in (0, 1, 2))
    return (
        f"The searches solved {first:.0%} and {second:.0%} of their questions; the SFT set grew from {one:.0f} to "
        f"{both:.0f} trajectories, and {pairs:.0f} preference pairs were found."
    )


def _brought(found: SeedDifferences) -> str:
    said = verdict(found.mean.difference)
    figure = interval(found.mean.difference)
    if said == "better":
        return f"a gain beyond the interval ({figure})"
    if said == "worse":
        return f"a loss beyond the interval ({figure})"
    return f"neither gain nor loss that these questions can show ({figure})"


def _distance(found: Compared, other: Behind) -> str:
    assert other.behind is not None
    how = interval(other.behind, points=found.criterion == "selection")
    return f"{named(other.variant)} ({how} behind)"


def _claim(claim: DualClaim) -> str:
    area = "" if claim.finding is None else f", AUROC {interval(claim.finding, points=False)}"
    return f"{named(claim.other)} {interval(claim.selection)}{area}"


def _rival(role: str) -> str:
    return "the strategy chosen on validation" if role == "chosen" else role


def error_words(study: HeadroomStudy) -> str:
    """Which kinds of error the loop took away, and which it left: halved at least, or not."""
    first, last = study.errors[0].kinds, study.errors[-1].kinds
    told = {kind: rate for kind, rate in first.items() if rate >= 1}
    gone = [kind for kind in told if last.get(kind, 0.0) <= told[kind] / 2]
    stayed = [kind for kind in told if kind not in gone]

    def listed(kinds: list[str]) -> str:
        return ", ".join(f"{kind} {first[kind]:.1f} → {last.get(kind, 0.0):.1f}" for kind in kinds) or "nothing"

    return (
        f"From {study.errors[0].policy} to {study.errors[-1].policy}, per 100 questions: at least halved: "
        f"{listed(gone)}; not: {listed(stayed)}."
    )


def ranking_words(study: HeadroomStudy) -> str:
    """Whether the reward model tells right from wrong answers to one question; by the intervals."""
    told = []
    for each in study.families:
        if each.name != ALL or each.ranking is None:
            continue
        families = [one for one in study.families if one.policy == each.policy and one.name != ALL and one.ranking]
        able = [one.name for one in families if one.ranking is not None and one.ranking.low > 0.5]
        told.append(
            f"On samples of {each.policy} the reward model ranks a right answer above a wrong one to the same question "
            f"{100 * each.ranking.value:.0f} times in 100; better than a coin in {len(able)} of {len(families)} "
            f"families ({', '.join(able) or 'none'})."
        )
    return " ".join(told)
