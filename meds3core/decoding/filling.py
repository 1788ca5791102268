"""Work on all questions of a folder that have no result yet, many at once (see `data.run_folder`)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from meds3core.data.run_folder import QuestionFailure, RunFolder
from meds3core.errors import Cancelled
from meds3core.progress import CancelToken, NullSink, ProgressEvent, ProgressSink
from meds3core.search.forest import forest
from meds3core.types.question import OpenQuestion, Question

Result = TypeVar("Result")


async def fill(
    store: RunFolder,
    questions: Sequence[Question | OpenQuestion],
    work: Callable[[Question | OpenQuestion], Awaitable[Result]],
    *,
    line_of: Callable[[Result], str],
    figures_of: Callable[[Result], dict[str, Any]],
    summary: dict[str, Any],
    concurrency: int,
    retry_failed: bool = False,
    sink: ProgressSink | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Open the folder, do what is missing, finish it and close it; `concurrency` questions at once.

    A failing question becomes a recorded failure and harms no other. Cancelling the awaiting task or the token (then
    `Cancelled` is raised) leaves a folder that the same call continues. Events `NAME-started` and `NAME` carry what
    `figures_of` says of each result.
    """
    sink = sink or NullSink()
    noun, total = store.form.noun, len(questions)

    async def work_or_stop(question: Question | OpenQuestion) -> Result:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("the work was cancelled; the same call continues it")
        return await work(question)

    try:
        store.open(retry_failed=retry_failed)
        missing = store.missing()
        sink.emit(ProgressEvent(kind=f"{noun}-started", done=total - len(missing), total=total))
        outcomes = forest((questions[position] for position in missing), work_or_stop, concurrency)
        try:
            async for outcome in outcomes:
                position, result = missing[outcome.position], outcome.result
                figures = {}
                if isinstance(result, QuestionFailure):
                    store.keep_failure(position, result)
                else:
                    store.keep(position, line_of(result))
                    figures = figures_of(result)
                failures = len(store.failures)
                sink.emit(
                    ProgressEvent(
                        kind=noun, done=store.done + failures, total=total, data={"failures": failures, **figures}
                    )
                )
        finally:
            await outcomes.aclose()  # type: ignore[attr-defined]
        store.finish({"questions": total, **summary})
    finally:
        store.close()
