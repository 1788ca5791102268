"""Sample stores: n answers a policy gave to each question, drawn once, read by every strategy afterwards.

The folder of a set: `samples.json` (what it was drawn with, and when finished its content hash and the questions'
shapes) and `samples.jsonl` (a `QuestionSamples` a line, in question order); see `data.run_folder`. Sample i of a
question is the same for every n and in every set of questions, so a set can be enlarged in both directions.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from meds3core.config.decoding import SampleConfig
from meds3core.data.run_folder import (
    FolderForm,
    QuestionFailure,
    ResultFileError,
    RunFolder,
    read_failures,
    read_finished,
)
from meds3core.decoding.filling import fill
from meds3core.engines.base import Completion, Engine, Request, Sampling
from meds3core.errors import ConfigError
from meds3core.progress import CancelToken, ProgressSink
from meds3core.search.concurrency import gather
from meds3core.search.seeds import request_seed
from meds3core.text.prompts import PromptTemplate, answer_form
from meds3core.text.steps import OPENER, header, render_trajectory, split
from meds3core.types.question import ChoiceFormat, OpenQuestion, Question
from meds3core.types.record import Record
from meds3core.types.samples import SAMPLES_FORMAT, QuestionSamples, Sample, SampleSource
from meds3core.verify.judge import verifier_for

SAMPLES = FolderForm(
    manifest="samples.json",
    lines="samples.jsonl",
    noun="samples",
    key_of=lambda row: str(row["question"]["id"]),
    may_grow=("source.n",),
)


class SourceShape(Record):
    """What the questions of one data set look like: figures over different shapes are not comparable (METHOD.md §7)."""

    questions: int = 0
    options: dict[int, int] = Field(default_factory=dict)
    """Questions by their number of options; 0: not a choice."""
    with_context: int = 0
    without_context: int = 0
    """Whether the passage needed for the answer is in the text; the rest is unknown."""


@dataclass(frozen=True)
class SampleSet:
    """A finished sample set in memory."""

    source: SampleSource
    rows: tuple[QuestionSamples, ...]
    """In question order; questions that failed are missing."""
    failures: tuple[QuestionFailure, ...]
    """Questions without samples (a prompt beyond the context, a failing engine): never to be dropped silently."""
    content_hash: str

    @cached_property
    def shapes(self) -> dict[str, SourceShape]:
        """By data set of origin."""
        return shapes_of([row.question for row in self.rows])


async def draw_samples(
    questions: Sequence[Question | OpenQuestion],
    engine: Engine,
    prompt: PromptTemplate,
    config: SampleConfig,
    seed: int,
    folder: Path,
    *,
    concurrency: int = 256,
    retry_failed: bool = False,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> SampleSet:
    """Draw what is missing in `folder` and return the whole set.

    `concurrency`: answers being written at once. An existing set with fewer answers per question, or with fewer
    questions, is continued; what it holds is never drawn again. Cancelling the awaiting task, or the token, leaves a
    folder that the same call continues (the token raises `Cancelled`). Raises `ConfigError` when the folder belongs
    to another set.
    """
    store = RunFolder(
        folder,
        SAMPLES,
        {"source": sample_source(engine, prompt, config, seed).model_dump(mode="json")},
        [question.id for question in questions],
        _Admission(folder, questions, config.n),
    )
    positions = {question.id: position for position, question in enumerate(questions)}

    async def draw(question: Question | OpenQuestion) -> QuestionSamples:
        begun = store.beginning(positions[question.id])
        known = QuestionSamples.model_validate(begun).samples if begun else ()
        return await draw_question(question, engine, prompt, config, seed, known=known)

    await fill(
        store,
        questions,
        draw,
        line_of=sample_line,
        figures_of=_figures,
        summary={"shapes": {name: shape.model_dump(mode="json") for name, shape in shapes_of(questions).items()}},
        concurrency=max(1, concurrency // config.n),
        retry_failed=retry_failed,
        sink=sink,
        cancel=cancel,
    )
    return read_samples(folder)


def sample_source(engine: Engine, prompt: PromptTemplate, config: SampleConfig, seed: int) -> SampleSource:
    """What a set is drawn with. `config_hash` covers all of the configuration that decides sample i: not n."""
    info = engine.info
    decisive = config.model_dump_json(include={"draw", "max_tokens"})
    return SampleSource(
        policy=info.model,
        policy_hash=info.model_hash,
        engine=info.kind,
        prompt=prompt.label,
        prompt_hash=prompt.hash,
        config_hash=hashlib.blake2b(decisive.encode(), digest_size=16).hexdigest(),
        temperature=config.draw.temperature,
        top_p=config.draw.top_p,
        n=config.n,
        seed=seed,
    )


async def draw_question(
    question: Question | OpenQuestion,
    engine: Engine,
    prompt: PromptTemplate,
    config: SampleConfig,
    seed: int,
    *,
    known: Sequence[Sample] = (),
) -> QuestionSamples:
    """All answers to one question; `known` are its first ones, drawn earlier."""
    requests = [sample_request(question, prompt, config, seed, index) for index in range(len(known), config.n)]
    completions = await gather(engine.generate(request) for request in requests)
    return QuestionSamples(
        question=question, samples=(*known, *(sample_of(question, completion) for completion in completions))
    )


def sample_request(
    question: OpenQuestion, prompt: PromptTemplate, config: SampleConfig, seed: int, index: int
) -> Request:
    """The request for answer `index`: the prompt of a rollout from the root, a seed of its own."""
    return Request(
        prompt.continuation(question.text, answer_form(question), [OPENER], "finish"),
        Sampling(
            max_tokens=config.max_tokens,
            temperature=config.draw.temperature,
            top_p=config.draw.top_p,
            seed=request_seed(seed, question.content_hash, (), "sample", index),
        ),
    )


def sample_of(question: Question | OpenQuestion, completion: Completion) -> Sample:
    """What a completion that was primed with step 0 and the header of step 1 amounts to.

    The whole response is judged, leniently, since nothing follows it. All of it is kept, but no answer is looked for
    in a step that the token limit cut: half a number is not an answer.
    """
    steps = split(header(1) + completion.text)
    bodies = [step.body.strip() for step in steps]
    whole = bodies[:-1] if completion.finish == "length" else bodies
    verifier = verifier_for(question)
    answer = verifier.extract_answer(render_trajectory([OPENER, *filter(None, whole)]), question)
    correct = None
    if answer is not None and isinstance(question, Question):
        correct = verifier.is_right(answer, question)
    return Sample(
        bodies=(OPENER, *filter(None, bodies)),
        answer=answer,
        correct=correct,
        finish=completion.finish,
        generated_tokens=completion.generated_tokens,
        prompt_tokens=max(0, completion.prompt_tokens - completion.cached_tokens),
    )


def sample_line(row: QuestionSamples) -> str:
    """One line of a sample file, without its line end; a sample's defaults left out."""
    return json.dumps(
        {
            "question": row.question.model_dump(mode="json"),  # in full: `kind` is needed
            "samples": [sample.model_dump(mode="json", exclude_defaults=True) for sample in row.samples],
        },
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def read_samples(folder: Path) -> SampleSet:
    """A finished set. Raises `ResultFileError` when there is none, it is unfinished, or it has changed."""
    manifest, lines = read_finished(folder, SAMPLES)
    try:
        source = SampleSource.model_validate(manifest["source"])
        rows = tuple(QuestionSamples.model_validate_json(line) for line in lines)
    except (KeyError, ValidationError):
        raise ResultFileError(f"{folder}: written in another format than {SAMPLES_FORMAT}; draw it again") from None
    return SampleSet(source, rows, read_failures(folder), manifest["finished"]["content_hash"])


def shapes_of(questions: Sequence[OpenQuestion]) -> dict[str, SourceShape]:
    """What the questions of each data set look like, in order of appearance."""
    grouped: dict[str, list[OpenQuestion]] = {}
    for question in questions:
        grouped.setdefault(question.source, []).append(question)
    return {source: _shape(members) for source, members in grouped.items()}


def _shape(questions: Sequence[OpenQuestion]) -> SourceShape:
    options = Counter(
        len(question.answer_format.options) if isinstance(question.answer_format, ChoiceFormat) else 0
        for question in questions
    )
    return SourceShape(
        questions=len(questions),
        options=dict(sorted(options.items())),
        with_context=sum(question.has_context is True for question in questions),
        without_context=sum(question.has_context is False for question in questions),
    )


class _Admission:
    """Whether a stored line belongs to the set that is being drawn (see `run_folder.Admit`)."""

    def __init__(self, folder: Path, questions: Sequence[Question | OpenQuestion], n: int) -> None:
        self.folder = folder
        self.questions = questions
        self.n = n

    def __call__(self, position: int, row: Any) -> bool:
        question = self.questions[position]
        if row["question"] != json.loads(question.model_dump_json()):
            raise ConfigError(
                f"question {question.id!r} has changed since its samples were drawn in {self.folder}: "
                "give another --out folder"
            )
        return len(row["samples"]) >= self.n


def _figures(row: QuestionSamples) -> dict[str, Any]:
    return {
        "samples": len(row.samples),
        "generated_tokens": sum(sample.generated_tokens for sample in row.samples),
        "answered": sum(sample.answer is not None for sample in row.samples),
        "right": sum(sample.correct is True for sample in row.samples),
    }
