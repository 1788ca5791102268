"""`meds3 demo`: the whole loop on the synthetic clinic, through the real queue, watched in the terminal.

Datasets, model and job are ordinary ones of the owner's team; the dashboard shows them while they grow. Stopped, the
job keeps its place; called again, it goes on, and a finished one shows its table.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.urls import reverse
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from meds3core.cli.progress import duration
from meds3core.config.evolution import EVOLUTION_PRESETS, EvolutionConfig
from meds3core.config.jobs import EvolutionSpec
from meds3core.config.references import Registered
from meds3core.evaluation.intervals import Estimate
from meds3core.evaluation.paired import SeedDifferences, p_text
from meds3core.sandbox.questions import generate
from webapp.accounts.actors import Actor
from webapp.accounts.models import Door
from webapp.datasets.services import dataset_from_questions
from webapp.health.selectors import job_present, stages_of
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job, JobStage, State
from webapp.jobs.selectors import events_after, jobs_page
from webapp.jobs.services import job_resume, job_retry, job_submit
from webapp.jobs.transitions import ENDED
from webapp.registry.bundled import bundled_ensure
from workers.stack.display import StackDisplay, bar
from workers.stack.owner import Owner
from workers.stack.stack import Stack, StackError
from workers.stack.up import Wish

SETTINGS = EVOLUTION_PRESETS["clinic"].model_copy(update={"iterations": 2})
TITLE = "The whole loop on the clinic"
LOOK_SECONDS = 1.0
PLAIN_SECONDS = 15.0
SURE_PERCENT = 3
"""From here on the pace so far says more than what was expected."""


@dataclass(frozen=True)
class Sample:
    """What the demo runs."""

    train: int = 400
    held_out: int = 1000
    seed: int = 1
    settings: EvolutionConfig = SETTINGS
    exit_when_done: bool = False


class Demo:
    """The work that `meds3 up` does once it is ready."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def __call__(self, owner: Owner | None, display: StackDisplay, stack: Stack, wish: Wish) -> int | None:
        """Follow the job to its end; an exit code where the stack is to stop then."""
        if owner is None:
            raise StackError("The demo belongs to somebody: name a person who is in a team with --owner.")
        job = demo_job(owner, self._sample)
        display.say(f"  {stack.url}{reverse('evolution', args=[job.team.slug, job.pk])}", style="bold")
        ended = _follow(job, display, stack, wish)
        if ended is None:
            return None
        code = _report(ended, display)
        return code if self._sample.exit_when_done else None


def demo_job(owner: Owner, sample: Sample) -> Job:
    """The job of this sample: submitted, or sent on its way again, or finished already."""
    actor = Actor(owner.user, Door.COMMAND)
    versions = {}
    for name, split, count in (
        ("Clinic, training", "train", sample.train),
        ("Clinic, held out", "test", sample.held_out),
    ):
        versions[split] = dataset_from_questions(
            actor=actor,
            team=owner.team,
            name=name,
            description="Synthetic questions whose every step can be checked.",
            source_name=f"meds3 sandbox questions --split {split} --count {count} --seed {sample.seed}",
            questions=generate(split, count, sample.seed),
        )
    spec = EvolutionSpec(
        name="Clinic",
        questions=Registered(kind="dataset", id=versions["train"].pk),
        held_out=Registered(kind="dataset", id=versions["test"].pk),
        policy=Registered(kind="model", id=bundled_ensure().pk),
        settings=sample.settings,
    )
    wanted = spec.model_dump(mode="json")
    known = jobs_page(team=owner.team, kind=spec.kind)
    job = next((one for one in known if one.title == TITLE and one.spec == wanted), None)
    try:
        if job is None:
            return job_submit(actor=actor, team=owner.team, spec=spec, title=TITLE)
        if job.state == State.PAUSED:
            return job_resume(actor=actor, job=job)
        if job.state in (State.FAILED, State.CANCELLED):
            return job_retry(actor=actor, job=job)
    except QueueUnreachable:  # it is stored; the sweep rings
        (job, *_) = jobs_page(team=owner.team, kind=spec.kind)
    return job_present(job_id=job.pk)


def _follow(job: Job, display: StackDisplay, stack: Stack, wish: Wish) -> Job | None:
    """The job when it has ended; none when the person stops the stack before."""
    seq, said = 0, 0.0
    if job.attempt:  # what happened before this start is on the job's page
        seq = job.next_seq - 1
    while not wish.stop.is_set():
        try:
            job = job_present(job_id=job.pk)
            stages = stages_of(job_id=job.pk)
            for event in events_after(job=job, seq=seq):
                seq = event.seq
                if event.kind != "progress" and event.text and not event.text.endswith(" began."):
                    display.say(event.text)
        except DatabaseError:
            connection.close()
            continue
        if job.state in ENDED:
            return job
        display.show(stack.standings(), [], stage_lines(job, stages))
        if not display.is_live and time.monotonic() - said > PLAIN_SECONDS:
            said = time.monotonic()
            display.say("; ".join(" ".join(line.plain.split()) for line in stage_lines(job, stages, bars=False)))
        stack.revive()
        if not stack.alive:
            return None
        wish.stop.wait(LOOK_SECONDS)
    return None


def stage_lines(job: Job, stages: Sequence[JobStage], *, bars: bool = True) -> list[Text]:
    """The stages that run, and the whole with its remaining time."""
    lines = []
    for stage in stages:
        if stage.state == State.RUNNING:
            line = Text(f"  {stage.name:<24}")
            done, total = stage.details.get("done"), stage.details.get("total")
            if done is not None and total:
                line.append(f"  {bar(done, total) if bars else ''} {done:,}/{total:,}")
            lines.append(line)
    finished = sum(stage.state == State.SUCCEEDED for stage in stages)
    if not stages:
        return [Text(f"  {job.get_state_display().lower()}: a worker takes it in a moment")]
    whole = Text(f"  {'all stages':<24}  {bar(finished, len(stages)) if bars else ''} {finished}/{len(stages)}")
    left = remaining_seconds(job, stages)
    if left is not None and job.state == State.RUNNING:
        whole.append(f", about {duration(left)} left")
    return [*lines, whole]


def remaining_seconds(job: Job, stages: Sequence[JobStage]) -> float | None:
    """By the pace so far; before there is one, by what the stages were expected to take."""
    if job.total and job.rate and job.done >= SURE_PERCENT:
        return (job.total - job.done) / job.rate
    expected = [float(one.details.get("seconds_expected") or 0) for one in stages if one.state != State.SUCCEEDED]
    return sum(expected) if expected else None


def _report(job: Job, display: StackDisplay) -> int:
    if job.state != State.SUCCEEDED:
        display.say(f"The job is {job.get_state_display().lower()}. {job.error_message}", style="red")
        display.say("`meds3 demo` tries again from where it stood.")
        return 1
    result: Mapping[str, Any] = job.result or {}
    display.draw(accuracy_table(result.get("stages", ())))
    display.say(str(result.get("summary", "")), style="bold")
    return 0


def accuracy_table(stages: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What every stage was worth: right answers on the held-out questions, and against the base."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "right answers", "against base", "every step right"):
        table.add_column(name)
    for stage in stages:
        against = ""
        if stage["against_base"] is not None:
            mean = SeedDifferences.model_validate(stage["against_base"]).mean
            found = mean.difference
            against = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {p_text(mean.p)}"
        table.add_row(stage["name"], _estimate(stage["accuracy"]), against, _estimate(stage["sound"]))
    return table


def _estimate(stored: Mapping[str, Any] | None) -> str:
    return str(Estimate.model_validate(stored)) if stored is not None else ""
