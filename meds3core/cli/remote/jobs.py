"""`meds3 jobs …`: jobs of a server, submitted, listed, watched and steered from the command line."""

import json
import sys
import uuid
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from meds3core.cli.remote.account import account_known
from meds3core.cli.remote.server import Server, Unreachable
from meds3core.cli.remote.specs import spec_of
from meds3core.cli.remote.watching import figures_of, watch
from meds3core.cli.running import talking_console
from meds3core.errors import ConfigError

app = typer.Typer(no_args_is_help=True)

TRIES = 3

Team = Annotated[str, typer.Option(help="Team by the name in its address; otherwise the one that the token is for.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="What the server says, as JSON.")]


@app.command()
def submit(
    words: Annotated[
        list[str],
        typer.Argument(metavar="SPEC.json | KIND [NAME=VALUE]…", help="e.g. search questions=dataset:… policy=model:…"),
    ],
    title: Annotated[str, typer.Option(help="How people will know it.")] = "",
    priority: Annotated[int, typer.Option(min=-10, max=10, help="Higher first.")] = 0,
    watching: Annotated[bool, typer.Option("--watch", help="Stay and show how it goes.")] = False,
    team: Team = "",
) -> None:
    """Submit a job; its id goes to standard output."""
    body = {"spec": spec_of(words), "title": title, "priority": priority}
    with _server() as server:
        base = _jobs(server, team)
        job = _sent(server, base, body)
        print(job["id"], flush=True)
        if watching:
            _watch(server, f"{base}/{job['id']}")


@app.command("list")
def list_jobs(
    state: Annotated[str, typer.Option(help="queued, running, paused, succeeded, failed, cancelled, …")] = "",
    kind: Annotated[str, typer.Option(help="search, sft, evaluation, …")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: AsJson = False,
    team: Team = "",
) -> None:
    """The newest jobs of the team."""
    with _server() as server:
        jobs = server.get(_jobs(server, team), state=state, kind=kind, limit=limit)["items"]
    if as_json:
        _print_json(jobs)
        return
    if not jobs:
        talking_console().print("No such jobs. Submit one: meds3 jobs submit …")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "kind", "title", "state", "progress", "created"):
        table.add_column(name, no_wrap=name != "title", overflow="fold")
    for job in jobs:
        cells = (job["id"], job["kind"], job["title"], job["state"], _progress(job), job["created"][:16])
        table.add_row(*(_plain(cell) for cell in cells))
    # A pipe has no width: its lines are whole.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


@app.command()
def show(job: JobId, as_json: AsJson = False, team: Team = "") -> None:
    """One job: where it stands, its settings, its result."""
    with _server() as server:
        found = server.get(f"{_jobs(server, team)}/{_checked(job)}")
    if as_json:
        _print_json(found)
        return
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"{found['title']} ({found['kind']}): {found['state']}")
    lines = {
        "progress": _progress(found),
        "stage": found["stage"],
        "submitted": f"{found['created'][:19]} by {found['created_by'] or 'the instance'}",
        "started": (found["started"] or "")[:19],
        "ended": (found["ended"] or "")[:19],
        "attempts": f"{found['attempt']}, {found['failures']} failed" if found["attempt"] else "",
        "what went wrong": found["error_message"],
    }
    for name, text in lines.items():
        if text:
            console.print(f"{name}: {text}")
    console.print("settings:", json.dumps(found["spec"], indent=2, ensure_ascii=False))
    if found["result"] is not None:
        console.print("result:", json.dumps(found["result"], indent=2, ensure_ascii=False))


@app.command("watch")
def watch_job(job: JobId, team: Team = "") -> None:
    """Show how a job goes until it ends: 0 succeeded, 1 failed, 3 cancelled, 4 paused. Ctrl-C leaves it running."""
    with _server() as server:
        _watch(server, f"{_jobs(server, team)}/{_checked(job)}")


@app.command()
def pause(job: JobId, team: Team = "") -> None:
    """Stop a job at its next checkpoint and keep its place."""
    _steer("pause", job, team)


@app.command()
def resume(job: JobId, team: Team = "") -> None:
    """Let a paused job go on."""
    _steer("resume", job, team)


@app.command()
def cancel(job: JobId, team: Team = "") -> None:
    """End a job."""
    _steer("cancel", job, team)


@app.command()
def retry(job: JobId, team: Team = "") -> None:
    """Let a failed or cancelled job try again from its place."""
    _steer("retry", job, team)


_ENDS = {"succeeded": 0, "failed": 1, "cancelled": 3, "paused": 4}


def _watch(server: Server, path: str) -> None:
    console = talking_console()
    try:
        job = watch(server, console, path)
    except KeyboardInterrupt:
        console.print(f"Not watched any more; the job goes on. Again: meds3 jobs watch {path.rpartition('/')[2]}")
        raise typer.Exit(130) from None
    if job["state"] == "failed":
        console.print(job["error_message"], style="red")
    raise typer.Exit(_ENDS.get(job["state"], 0))


def _steer(verb: str, job: str, team: str) -> None:
    with _server() as server:
        found = server.post(f"{_jobs(server, team)}/{_checked(job)}/{verb}")
    talking_console().print(f"{found['title']}: {found['state']}")


def _sent(server: Server, base: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submitted once, however often it has to be sent."""
    key = str(uuid.uuid4())
    for left in reversed(range(TRIES)):
        try:
            job: dict[str, Any] = server.post(base, body, key=key)
            return job
        except Unreachable:
            if not left:
                raise
    raise AssertionError("unreachable")


def _server() -> Server:
    return Server(account_known())


def _jobs(server: Server, team: str) -> str:
    slug = team or server.account.team
    if not slug:
        teams = server.me()["teams"]
        if not teams:
            raise ConfigError("The token reaches no team.")
        slug = teams[0]["slug"]
    return f"/teams/{slug}/jobs"


def _checked(job: str) -> str:
    try:
        return str(uuid.UUID(job))
    except ValueError:
        raise ConfigError(f"{job!r} is no id of a job: meds3 jobs list shows them.") from None


def _progress(job: dict[str, Any]) -> str:
    if job["total"] is None:
        return ""
    figures = figures_of(job) if job["state"] == "running" else ""
    return f"{job['done']:,} of {job['total']:,} {job['unit']}".strip() + (f", {figures}" if figures else "")


def _plain(text: str) -> str:
    """A cell without rich's marks: a title may hold brackets."""
    return text.replace("[", "\\[")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
