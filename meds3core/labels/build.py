"""From trees to a label set: the questions' trees are gathered, then each question is labelled by itself."""

from collections.abc import Iterable

from meds3core.config.labels import LabelConfig, PairLabelConfig, SftLabelConfig, StepLabelConfig
from meds3core.errors import Cancelled, ConfigError, UserError
from meds3core.labels.base import HumanLabels, LabelRecord, LabelSet, StepJudge, Tally
from meds3core.labels.preferences import preference_pairs
from meds3core.labels.reading import TreeReading, read_tree
from meds3core.labels.sft import sft_examples
from meds3core.labels.step_labels import labelled_trajectories
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.types.labels import LabelCounts, LabelKind
from meds3core.types.tree import Tree

NO_GOLD = "trees grown without a gold answer"
SAME_TREE = "trees that were given twice"
UNFINISHED = "trees without a finished trajectory"

_REPORT_EVERY = 200


def build_labels(
    trees: Iterable[Tree],
    config: LabelConfig,
    *,
    judge: StepJudge | None = None,
    human: HumanLabels | None = None,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> LabelSet:
    """Label trees, read one at a time; of each only texts, values and verdicts are kept until its question is done.

    Trees of one question (equal content, whatever the id), say of two iterations, count as one question for every
    limit. The result does not depend on anything but the arguments. It may be empty: `LabelSet.require_kept`.

    Raises:
        ConfigError: the kind of label needs a judge or people's labels and there are none.
        Cancelled: `cancel` was set.
    """
    _check(config, judge, human)
    sink = sink or NullSink()
    dropped: Tally = Tally()
    questions: dict[str, list[TreeReading]] = {}
    seen: set[str] = set()
    count = 0
    for count, tree in enumerate(trees, start=1):
        if cancel is not None and cancel.cancelled:
            raise Cancelled("labelling was cancelled")
        reading = _reading_of(tree, seen, dropped)
        if reading is not None:
            questions.setdefault(reading.question.content_hash, []).append(reading)
        if count % _REPORT_EVERY == 0:
            sink.emit(ProgressEvent(kind="labels-trees", done=count))
    records: list[LabelRecord] = []
    total = len(questions)
    for done, content in enumerate(list(questions), start=1):
        if cancel is not None and cancel.cancelled:
            raise Cancelled("labelling was cancelled")
        records.extend(_label(questions.pop(content), config, dropped, judge, human))
        if done % _REPORT_EVERY == 0 or done == total:
            sink.emit(ProgressEvent(kind="labels", done=done, total=total, data={"kept": len(records)}))
    counts = LabelCounts(
        trees=count,
        questions=total,
        kept=len(records),
        dropped={reason: times for reason, times in sorted(dropped.items()) if times},
    )
    return LabelSet(config, tuple(records), counts)


def _reading_of(tree: Tree, seen: set[str], dropped: Tally) -> TreeReading | None:
    reading = read_tree(tree)
    if reading is None:
        dropped[NO_GOLD] += 1
        return None
    if reading.origin.tree in seen:
        dropped[SAME_TREE] += 1
        return None
    seen.add(reading.origin.tree)
    if next(reading.finished(), None) is None:
        dropped[UNFINISHED] += 1
    return reading


def _label(
    readings: list[TreeReading],
    config: LabelConfig,
    dropped: Tally,
    judge: StepJudge | None,
    human: HumanLabels | None,
) -> Iterable[LabelRecord]:
    match config:
        case SftLabelConfig():
            return sft_examples(readings, config, dropped)
        case PairLabelConfig():
            return preference_pairs(readings, config, dropped)
        case StepLabelConfig():
            return labelled_trajectories(readings, config, dropped, judge, human)


def _check(config: LabelConfig, judge: StepJudge | None, human: HumanLabels | None) -> None:
    if not isinstance(config, StepLabelConfig):
        if judge is not None or human is not None:
            raise ConfigError(f"a judge and people's labels concern step labels, not {config.kind!r}")
        return
    if config.label is LabelKind.CONSENSUS and judge is None:
        raise ConfigError("label 'consensus' needs a judge whose opinion is compared with the rollouts'")
    if config.label is LabelKind.HUMAN and judge is None and not human:
        raise ConfigError("label 'human' needs people's labels, or a judge in their place")
    if judge is not None and config.label not in (LabelKind.CONSENSUS, LabelKind.HUMAN):
        raise ConfigError(
            f"label {str(config.label)!r} asks no judge; use 'consensus' or 'human', or leave the judge out"
        )
    bad = [label for label in (human or {}).values() if not 0.0 <= label <= 1.0]
    if bad:
        raise UserError(f"{len(bad)} of the people's labels lie outside [0, 1]")
