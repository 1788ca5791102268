"""`meds3 annotate …`: judging on a server from the command line, by simulated people."""

import json
import time
import uuid
from collections import Counter
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from meds3core.cli.remote.account import account_known
from meds3core.cli.remote.server import OtherVersion, Server, Unreachable
from meds3core.cli.running import talking_console
from meds3core.errors import ConfigError
from meds3core.judgements.items import ItemShown, StepAnswer
from meds3core.types.judgements import Verdict

app = typer.Typer(no_args_is_help=True)

TRIES = 7


@app.callback()
def annotate() -> None:
    """Judging on a server."""


@app.command()
def simulate(
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's id, or its name.")],
    error_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of steps that are judged wrongly.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Which steps it errs on; another one is another person.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Items; otherwise until the queue gives none.")] = None,
    pause: Annotated[float, typer.Option(min=0.0, help="Seconds of thinking for each item.")] = 0.0,
    team: Annotated[str, typer.Option(help="Team by the name in its address.")] = "",
) -> None:
    """Judge items about the synthetic clinic as the person whose token this is: by the step checker, with errors.

    For trying and measuring the flow without people, through the same API. Two simulated annotators are two people of
    the server, each with a token (MEDS3_SERVER, MEDS3_TOKEN) and a seed of their own. Figures go to standard output.
    """
    from meds3core.sandbox.annotator import SimulatedAnnotator  # reads all wordings of the clinic

    annotator = SimulatedAnnotator(error_rate=error_rate, seed=seed)
    talk = talking_console()
    counts = Counter(dict.fromkeys(("items", "late", "controls", "controls_right", *Verdict), 0))
    began = time.monotonic()
    with Server(account_known()) as server:
        base = f"/teams/{_team(server, team)}"
        queue_id = _queue(server, base, queue)
        reason = ""
        while limit is None or counts["items"] < limit:
            pulled = _patiently(server, f"{base}/queues/{queue_id}/pull", {})
            if pulled["item"] is None:
                reason = str(pulled["reason"])
                break
            started = time.monotonic()
            item = pulled["item"]
            answers = annotator.answers(_content(item["content"]))
            time.sleep(pause)
            body = {
                "id": str(uuid.uuid4()),
                "answers": [answer.model_dump(mode="json") for answer in answers],
                "seconds": round(time.monotonic() - started, 3),
            }
            saved = _patiently(server, f"{base}/items/{item['item']}/judgements", body)
            _count(counts, answers, saved)
    took = time.monotonic() - began
    talk.print(f"{counts['items']:,} items in {took:.1f} s" + (f"; the queue says: {reason}" if reason else ""))
    print(json.dumps({**counts, "seconds": round(took, 3), "reason": reason}, sort_keys=True))


def _count(counts: Counter[str], answers: list[StepAnswer], saved: dict[str, Any]) -> None:
    counts["items"] += 1
    for answer in answers:
        counts[answer.verdict.value] += 1
    counts["late"] += saved["late"]
    kept = saved["revealed"]
    if kept["is_control"]:
        counts["controls"] += 1
        known = [each["verdict"] for each in kept["known"]]
        counts["controls_right"] += known == [answer.verdict.value for answer in answers][: len(known)]


def _content(shown: Any) -> ItemShown:
    try:
        return ItemShown.model_validate(shown)
    except ValidationError:
        raise OtherVersion(
            "The server's items are not as this command knows them. Is it of the same version?"
        ) from None


def _patiently(server: Server, path: str, body: dict[str, Any]) -> Any:
    """Send it again while the server cannot be reached: a judgement carries its id, a pull gives what one holds."""
    for last in range(1, TRIES + 1):
        try:
            return server.post(path, body)
        except Unreachable:
            if last == TRIES:
                raise
            time.sleep(min(30.0, 2.0**last))
    raise AssertionError("unreachable")


def _team(server: Server, wanted: str) -> str:
    teams = [each["slug"] for each in server.me()["teams"]]
    if wanted and wanted not in teams:
        raise ConfigError(f"The token does not reach a team {wanted}.")
    if not wanted and len(teams) != 1:
        raise ConfigError("The token reaches several teams or none. Name one: --team NAME")
    return wanted or str(teams[0])


def _queue(server: Server, base: str, wanted: str) -> str:
    """The id of the queue of this id or name. Raises `ConfigError`."""
    try:
        return str(uuid.UUID(wanted))
    except ValueError:
        pass
    path: str | None = f"{base}/queues"
    while path:
        page = server.get(path)
        for each in page["items"]:
            if each["name"] == wanted:
                return str(each["id"])
        path = page["next"]
    raise ConfigError(f"There is no queue called {wanted}.")
