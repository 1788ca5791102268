"""Examples of a label set as a model will see them: token by token, from the encoder that training uses.

Tokens stand between thin bars; a line break inside a token is shown as ⏎. What is not trained on is dim.
"""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from meds3core.encoding.trajectory import TrajectoryEncoder
from meds3core.errors import UserError
from meds3core.labels.base import LabelRecord, LabelSet
from meds3core.training.rows import ending
from meds3core.training.shown import visible
from meds3core.types.labels import LabelledTrajectory, PreferencePair, SftExample

READ, TRAINED, BORDER, NOTE, END = "dim", "green", "dim cyan", "italic", "bold reverse"


def previews(label_set: LabelSet, encoder: TrajectoryEncoder, start: int, count: int) -> Iterator[RenderableType]:
    """`count` examples from number `start` (counted from 1). Raises `UserError` past the last one."""
    total = len(label_set.records)
    if start > total:
        raise UserError(f"--start {start}: the set holds {total} examples")
    for number, record in enumerate(label_set.records[start - 1 : start - 1 + count], start):
        yield Rule(f"{number} of {total}", align="left")
        yield from _preview(record, encoder)


def _preview(record: LabelRecord, encoder: TrajectoryEncoder) -> Iterator[RenderableType]:
    match record:
        case SftExample():
            yield from _sft(record, encoder)
        case PreferencePair():
            yield from _pair(record, encoder)
        case LabelledTrajectory():
            yield from _steps(record, encoder)


def _sft(example: SftExample, encoder: TrajectoryEncoder) -> Iterator[RenderableType]:
    encoded = encoder.sft(example)
    yield _origin(example, f"weakest step {example.weakest:.3g}, node {example.node}")
    yield from _read_only("read, not trained on", encoder, encoded.prompt)
    yield Text(f"trained on ({len(encoded.completion)} tokens):", NOTE)
    yield _continuation(encoder, encoded.completion, finished=True)


def _pair(pair: PreferencePair, encoder: TrajectoryEncoder) -> Iterator[RenderableType]:
    encoded = encoder.pair(pair)
    yield _origin(
        pair, f"{pair.kind} pair, margin {pair.margin:.3g}, nodes {pair.chosen_node} and {pair.rejected_node}"
    )
    yield from _read_only("shared prefix, not trained on", encoder, encoded.prompt)
    table = Table(show_edge=False, expand=True, pad_edge=False, header_style=NOTE)
    table.add_column(f"chosen ({len(encoded.chosen)} tokens)", ratio=1)
    table.add_column(f"rejected ({len(encoded.rejected)} tokens)", ratio=1)
    table.add_row(
        _continuation(encoder, encoded.chosen, finished=pair.chosen_finished),
        _continuation(encoder, encoded.rejected, finished=pair.rejected_finished),
    )
    yield table


def _steps(trajectory: LabelledTrajectory, encoder: TrajectoryEncoder) -> Iterator[RenderableType]:
    encoded = encoder.steps(trajectory.question, trajectory.bodies)
    yield _origin(trajectory, ending(trajectory.correct))
    yield from _read_only("question", encoder, encoded.ids[: encoded.prompt_length])
    yield Text("steps, each with its label at its last token:", NOTE)
    first = encoded.prompt_length
    for step, (end, label) in enumerate(zip(encoded.ends, trajectory.labels, strict=True)):
        line = Text("  ")
        line.append_text(tokens_text(encoder, encoded.ids[first:end], READ))
        line.append("|", BORDER)
        line.append_text(tokens_text(encoder, encoded.ids[end : end + 1], READ if label is None else END))
        line.rstrip()
        said = "no label" if label is None else f"label {label:.3g}"
        if label is not None and trajectory.weights and trajectory.weights[step] != 1.0:
            said += f", weight {trajectory.weights[step]:.3g}"
        line.append(f"  ◂ {said} at token {end}", NOTE if label is None else f"bold {TRAINED}")
        yield line
        first = end + 1


def tokens_text(encoder: TrajectoryEncoder, ids: Sequence[int], style: str) -> Text:
    """The tokens between bars. Signs that could steer a terminal are replaced."""
    text = Text()
    for position, token in enumerate(ids):
        if position:
            text.append("|", BORDER)
        words = encoder.tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        text.append(visible(words), style)
        if words.endswith("\n") and position + 1 < len(ids):
            text.append("\n")
    return text


def _continuation(encoder: TrajectoryEncoder, ids: Sequence[int], *, finished: bool) -> RenderableType:
    """What is trained on, and how it ends."""
    end = len(encoder.end_of_turn) if finished else 0
    text = tokens_text(encoder, ids[: len(ids) - end], TRAINED)
    if not end:
        return Group(text, Text("◂ turn left open", NOTE))
    text.append("|", BORDER)
    text.append_text(tokens_text(encoder, ids[len(ids) - end :], END))
    return Group(text, Text("◂ end of turn", NOTE))


def _read_only(title: str, encoder: TrajectoryEncoder, ids: Sequence[int]) -> Iterator[RenderableType]:
    yield Text(f"{title} ({len(ids)} tokens):", NOTE)
    yield tokens_text(encoder, ids, READ)


def _origin(record: LabelRecord, words: str) -> Text:
    tree = f", tree {record.origin.tree[:12]}" if record.origin.tree else ""
    return Text(f"{visible(record.question.id)}: {words}{tree}", "bold")
