"""`meds3 up`: the embedded stack in the foreground, from its first line to the last process gone."""

import contextlib
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, connection
from rich.console import Console

from webapp.config.embedded import run_folder
from webapp.health.selectors import jobs_live, jobs_live_count
from workers.stack.display import StackDisplay
from workers.stack.owner import Owner, owner_prepare, sign_in_link
from workers.stack.stack import Stack

READY_SECONDS = 300
LOOK_SECONDS = 1.0
BROKEN = {"FATAL"}


@dataclass(frozen=True)
class Options:
    """How `meds3 up` was called."""

    host: str = "127.0.0.1"
    port: int | None = None
    browser: bool = True
    owner: str = "owner"
    team: str = "My team"
    log_level: str = "INFO"


class Wish:
    """What the person at the terminal wants: go on, stop in order, or end at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.at_once = threading.Event()

    def hear(self, *_: object) -> None:
        """Ctrl-C, or a signal to end: in order the first time, at once the second."""
        (self.at_once if self.stop.is_set() else self.stop).set()


Work = Callable[[Owner | None, StackDisplay, Stack, Wish], int | None]
"""Done once the stack is ready; returns the exit code to stop with, or nothing to stay up."""


def up(options: Options, work: Work | None = None) -> int:
    """Until the person stops it; gives the exit code."""
    console = Console(highlight=False)
    wish = Wish()
    with _heard(wish), StackDisplay(console) as display:
        begun = time.monotonic()
        stack = Stack(host=options.host, port=options.port, log_level=options.log_level, say=display.say)
        display.say(f"MedS3 Studio on {stack.home}", style="bold")
        code = 0
        try:
            stack.prepare()
            owner = owner_prepare(username=options.owner, team_name=options.team)
            if not wish.stop.is_set():
                stack.start()
                if _wait_until_ready(stack, display, wish):
                    display.say(f"ready after {time.monotonic() - begun:.1f} s; logs are in {stack.home / 'logs'}")
                    _invite(options, owner, stack, display)
                    code = _serve(owner, display, stack, wish, work)
                elif not wish.stop.is_set():
                    code = 1
        finally:
            _stop(stack, display, wish)
    return code


def _serve(owner: Owner | None, display: StackDisplay, stack: Stack, wish: Wish, work: Work | None) -> int:
    if work is not None:
        code = work(owner, display, stack, wish)
        if code is not None:
            return code
    while not wish.stop.is_set():
        if not stack.alive:
            display.say("supervisord has ended; the stack stops", style="red")
            return 1
        status_show(display, stack)
        stack.revive()
        wish.stop.wait(LOOK_SECONDS)
    return 0


def status_show(display: StackDisplay, stack: Stack) -> None:
    """Services and running jobs as they are now."""
    try:
        jobs = jobs_live()
    except DatabaseError:  # busy or restarted: the next look says more
        connection.close()
        jobs = []
    display.show(stack.standings(), jobs)


def _wait_until_ready(stack: Stack, display: StackDisplay, wish: Wish) -> bool:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and not wish.stop.is_set():
        standings = stack.standings()
        broken = [one.name for one in standings if one.state in BROKEN]
        if broken or not stack.alive:
            for name in broken or ["supervisord"]:
                display.say(f"{name} does not start. It said:\n{stack.log_tail(name)}", style="red")
            return False
        if standings and stack.ready():
            stack.start_late()
            return True
        if stack.lost_port():
            stack.move()
        display.show(standings, [])
        wish.stop.wait(0.2)
    if not wish.stop.is_set():
        display.say(f"not ready after {READY_SECONDS} s. The web process said:\n{stack.log_tail('web')}", style="red")
    return False


def _invite(options: Options, owner: Owner | None, stack: Stack, display: StackDisplay) -> None:
    display.say("")
    display.say(f"  {stack.url}", style="bold")
    # A service manager keeps what is printed: no secret there.
    link = sign_in_link(user=owner.user, url=stack.url) if owner and "INVOCATION_ID" not in os.environ else None
    if link and owner:
        display.say(f"  Sign in as {owner.user.username} (works once, within ten minutes, from this machine):")
        display.say(f"  {link}", style="cyan")
    else:
        display.say("  Sign in with your password; `meds3 user reset NAME` prints a link that sets a new one.")
    display.say("")
    display.say("Ctrl-C stops everything; running jobs keep their place and go on at the next start.")
    if options.browser and _has_screen():
        _browse(link or stack.url, stack.home)


def _has_screen() -> bool:
    return sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _browse(address: str, home: Path) -> None:
    """Open the address by way of a private file: on a command line every user of the machine could read it."""
    page = run_folder(home) / "open.html"
    page.unlink(missing_ok=True)
    with os.fdopen(os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={address}"><title>MedS3 Studio</title>')
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(page.as_uri())


def _stop(stack: Stack, display: StackDisplay, wish: Wish) -> None:
    """Everything ends, in order; jobs checkpoint meanwhile. A second Ctrl-C ends it at once."""
    if stack.alive:
        stack.stop_begin()
        wish.stop.set()
        try:
            running = jobs_live_count()
        except DatabaseError:
            running = 0
        jobs = "1 running job may save its" if running == 1 else f"{running} running jobs may save their"
        waits = f"; {jobs} place" if running else ""
        display.say(f"stopping{waits} (Ctrl-C again ends everything at once)")
        end = time.monotonic() + stack.grace_seconds + 60
        while not stack.stopped(0.3):
            if wish.at_once.is_set() or time.monotonic() > end:
                stack.kill()
                break
            display.show(stack.standings(), [])
    connection.close()
    stack.close()
    (run_folder(stack.home) / "open.html").unlink(missing_ok=True)
    display.say("stopped; nothing is left running")


@contextmanager
def _heard(wish: Wish) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, wish.hear) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
