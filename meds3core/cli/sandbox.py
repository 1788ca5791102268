"""`meds3 sandbox`: the synthetic clinic's questions, its step checker and the bundled tiny policy."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.judging import judging
from meds3core.cli.study import study
from meds3core.errors import QuestionFileError
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.checker import judge_response
from meds3core.sandbox.files import read_questions, read_responses, write_lines, write_text
from meds3core.sandbox.questions import generate
from meds3core.sandbox.verdict import StepVerdict
from meds3core.types.record import Record
from meds3core.verify.judge import judge

app = typer.Typer(no_args_is_help=True)
app.command()(study)
app.command()(judging)


class Split(StrEnum):
    """The two disjoint spaces of questions."""

    train = "train"
    test = "test"


class CheckedResponse(Record):
    """The verdicts on one response; `steps[0]` is step 0."""

    id: str
    answer: str | None
    correct: bool | None
    steps: tuple[StepVerdict, ...]


@app.command()
def policy() -> None:
    """Print the folder of the bundled policy."""
    typer.echo(policy_folder())


@app.command()
def questions(
    out: Annotated[Path, typer.Option(help="JSONL file to write; replaced as a whole.")],
    split: Annotated[Split, typer.Option(help="The spaces share no question.")] = Split.train,
    count: Annotated[int, typer.Option(min=1, help="How many questions, spread evenly over the families.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same questions.")] = 0,
) -> None:
    """Write questions with gold answers."""
    write_lines(out, generate(split.value, count, seed))
    typer.echo(f"{count} questions of the {split.value} space: {out}")


@app.command()
def check(
    questions: Annotated[Path, typer.Option(help="JSONL file of clinic questions.")],
    responses: Annotated[Path, typer.Option(help='JSONL file of {"id", "response"}.')],
    out: Annotated[Path | None, typer.Option(help="JSONL file for the verdicts on every step.")] = None,
) -> None:
    """Judge every step of responses: right or not, absolutely and given the steps before it."""
    asked = {question.id: question for question in read_questions(questions)}
    given = read_responses(responses)
    unknown = [response.id for response in given if response.id not in asked]
    if unknown:
        raise QuestionFileError(f"{responses}: no question in {questions} has the id {unknown[0]!r}")
    checked = []
    for response in given:
        question = asked[response.id]
        judgement = judge(response.response, question)
        steps = tuple(judge_response(question, response.response))
        checked.append(CheckedResponse(id=response.id, answer=judgement.answer, correct=judgement.correct, steps=steps))
    if out is None:
        for result in checked:
            typer.echo(f"{result.id}: {_outcome(result)}")
            for number, verdict in enumerate(result.steps):
                typer.echo(f"  step {number}: {_words(verdict)}")
    else:
        write_lines(out, checked)
    typer.echo(_summary(checked))


@app.command()
def measure(
    policy: Annotated[Path | None, typer.Option(help="Folder of a policy; the bundled one if left out.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Fresh questions, answered greedily.")] = 1000,
    sampled: Annotated[int, typer.Option(min=0, help="How many of them are also sampled k times.")] = 400,
    k: Annotated[int, typer.Option(min=1)] = 16,
    split: Annotated[Split, typer.Option(help="Space of the questions.")] = Split.test,
    seed: Annotated[int, typer.Option(help="Seed of the questions and of the samples.")] = 1,
    out: Annotated[Path | None, typer.Option(help="JSON file for all figures.")] = None,
) -> None:
    """Measure a policy on fresh questions: greedy accuracy, pass@k, right steps."""
    from meds3core.sandbox.measure import measure as run  # brings torch

    result = run(policy or policy_folder(), count=count, sampled=sampled, k=k, split=split.value, seed=seed)
    typer.echo(f"{'family':<18}{'n':>6}{'greedy':>8}{'chance':>8}{'sample':>8}{'pass@' + str(k):>9}{'steps':>8}")
    for name, row in [*result.families.items(), ("all", result.overall)]:
        typer.echo(
            f"{name:<18}{row.questions:>6}{row.greedy:>8.3f}{row.chance:>8.3f}{row.sampled or 0:>8.3f}"
            f"{row.pass_at_k or 0:>9.3f}{row.steps_right_given_prefix:>8.3f}"
        )
    if out is not None:
        write_text(out, result.model_dump_json(indent=2) + "\n")


def _outcome(result: CheckedResponse) -> str:
    if result.correct is None:
        return "no answer"
    return f"{'right' if result.correct else 'wrong'} answer {result.answer!r}"


def _words(verdict: StepVerdict) -> str:
    if not verdict.judged:
        return "not judged (not in the taught style)"
    if verdict.error is not None:
        return f"wrong: {verdict.error.value}"
    return "right" if verdict.right_absolutely else "follows from an earlier error"


def _summary(checked: list[CheckedResponse]) -> str:
    steps = [step for result in checked for step in result.steps[1:]]
    kinds = Counter(step.error.value for step in steps if step.error is not None)
    listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) or "none"
    return (
        f"{len(checked)} responses, {sum(result.correct is True for result in checked)} with the right answer; "
        f"{len(steps)} steps, {sum(step.right_absolutely for step in steps)} right absolutely, "
        f"{sum(step.right_given_prefix for step in steps)} right given the steps before; errors: {listed}"
    )
