"""The chat worker: one event loop, many turns, one engine per model. The Message row is the truth; Redis only rings.

A turn is claimed by a conditional UPDATE with a lease. Told to end, the worker puts what is in flight back; where it
vanished, its turns are taken back by whoever looks next, and begun anew under another attempt.
"""

import asyncio
import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection
from redis.exceptions import RedisError

from meds3core.engines.lost import lost_device
from meds3core.errors import AppError, UserError
from webapp.chat import turns
from webapp.chat.models import State
from webapp.chat.streams import BELL
from webapp.chat.turns import Claimed, Progress
from webapp.common.redis_clients import async_redis_client
from webapp.jobs.claims import worker_heartbeat, worker_register
from workers import alive
from workers.chatting.answering import Ended, answer
from workers.chatting.device import Device
from workers.chatting.ends import Ends
from workers.chatting.engines import Engines
from workers.chatting.writing import Teller, Writing
from workers.identity import devices, versions

LOOK_SECONDS = 1.0
SAVE_SECONDS = 3.0
"""How often rows are told how far their answers are: for when Redis is gone, else the stream says so."""
AHEAD = 5
"""For so many places one more turn is claimed, to take the first that is free: a step of an engine whose places are
empty until the next look takes almost as long. Where answers are alike it waits for a fifth of one at most."""
ROOM_SECONDS = 0.2
"""From an answer's end to the look for more, as long as another one takes its place: one look for several."""
QUEUE = "chat"
PASSING = (OperationalError, InterfaceError)
"""What a database says when it cannot be reached; all else it would say again to the same words."""
LOST = "The device failed while this was answered."
UNWRITABLE = "The answer cannot be stored. Ask again."

T = TypeVar("T")

log = logging.getLogger(__name__)


class Later(Exception):
    """A turn that was claimed ahead and has not begun; a job has asked for the device since."""


class ChatWorker:
    """One process's worker, by a name that no other running one has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._redis = async_redis_client()
        self._teller = Teller(self._redis)
        self._live: dict[UUID, tuple[Writing, asyncio.Task[None]]] = {}
        self._ends = Ends(self._patiently, lambda: len(self._live))
        self._places = asyncio.Semaphore(settings.CHAT_TURNS)
        self._stopped: set[UUID] = set()
        self._noted: set[UUID] = set()
        self._over, self._rung = asyncio.Event(), asyncio.Event()
        self._is_full = False
        """Whether turns may wait for nothing but another one's end."""
        self._looked, self._is_told = 0.0, False
        """When it was last asked what was stopped, and whether the bell rang since."""
        self._yielding = False
        self.has_lost_device = False
        """Nothing can be computed in this process any more: only another one could go on."""

    async def run(self) -> None:
        """Until told to end; then everything in flight is put back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        row = await self._patiently(
            worker_register, name=self.name, queue=QUEUE, devices=devices(), versions=versions()
        )
        await self._patiently(turns.leases_reclaim, worker=self.name)
        work = Path(tempfile.mkdtemp(prefix="chat-"))
        self.device = Device(self.name, self._redis, self._read)
        self.engines = Engines(self.device, work, self._read)
        keepers = [
            asyncio.create_task(self._again(keep, seconds))
            for keep, seconds in (
                (self._listen, 0.0),
                (self._look, 0.0),
                (self._save, SAVE_SECONDS),
                (lambda: self._beat(row), settings.JOBS_HEARTBEAT_SECONDS),
                (self._give_way, LOOK_SECONDS / 2),
                (self._reclaim, settings.JOBS_SWEEP_SECONDS),
            )
        ]
        try:
            await self._over.wait()
        finally:
            for task in keepers:
                task.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._put_all_back()
            with suppress(Exception):
                # What lies on a device that is lost cannot be unloaded: it ends with the process.
                unload = self.device.release if self.has_lost_device else self._unload_all
                await asyncio.wait_for(unload(), 10)
            await self._teller.close()
            await self._redis.aclose()
            self._database.shutdown(wait=False)
            shutil.rmtree(work, ignore_errors=True)

    # --- what is done again and again ---

    async def _again(self, act: Callable[[], Any], seconds: float) -> None:
        while not self._over.is_set():  # a cancellation may be lost on the way through a client of Redis
            try:
                await act()
            except DatabaseError as error:
                log.warning("the database does not answer (%s)", type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)
            except Exception as error:  # one round less; the words may hold what somebody said
                log.error("a round of the chat worker failed (%s)", type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(seconds)

    async def _listen(self) -> None:
        """Hear the bell."""
        try:
            if await self._redis.blpop([BELL], timeout=LOOK_SECONDS):
                self._is_told = True
                self._rung.set()
                await self._redis.delete(BELL)
        except (RedisError, OSError):
            await asyncio.sleep(LOOK_SECONDS / 2)

    async def _look(self) -> None:
        """Wait for the bell, for room, or a second; stop what was stopped, begin what waits."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), LOOK_SECONDS)
        self._rung.clear()
        if self._is_told or time.monotonic() >= self._looked + LOOK_SECONDS:  # not where there is only room again
            self._looked, self._is_told = time.monotonic(), False
            await self._stop()
        room = settings.CHAT_TURNS + settings.CHAT_TURNS // AHEAD - len(self._live)
        self._is_full = room <= 0
        if room > 0:
            named = {"worker": self.name, "most": room, "remote_only": self._yielding}
            found = await self._read(turns.turns_claim, **named)
            self._is_full = len(found) == room
            for turn in found:
                if self._yielding and turn.needs_device:  # claimed just before
                    await self._patiently(turns.turn_put_back, turn=turn.id, attempt=turn.attempt)
                else:
                    self._begin(turn)

    async def _stop(self) -> None:
        for pk in await self._read(turns.turns_to_stop, ids=list(self._live)) if self._live else ():
            if pk not in self._stopped and pk in self._live:
                self._stopped.add(pk)
                self._live[pk][1].cancel()

    async def _save(self) -> None:
        unsaved = [(pk, out) for pk, (out, _) in self._live.items() if out.is_unsaved]
        if not unsaved:
            return
        progress = [(pk, out.turn.attempt, out.progress()) for pk, out in unsaved]
        try:
            await self._read(turns.turns_write, progress=progress)
        except PASSING:
            raise
        except Exception:  # one of them cannot be written: it must not cost the others theirs
            for each in progress:
                try:
                    await self._read(turns.turns_write, progress=[each])
                except PASSING:
                    raise
                except Exception as error:
                    log.warning("turn %s cannot be saved (%s)", each[0], type(error).__name__)
        for (_, out), (_, _, how) in zip(unsaved, progress, strict=True):
            out.saved_seq = how.seq

    async def _beat(self, row: Any) -> None:
        await self._read(worker_heartbeat, worker=row)
        alive.touch(Path(settings.HOME), self.name)
        await self.device.renew()
        if self._live:
            for pk in await self._read(turns.leases_renew, worker=self.name, ids=list(self._live)):
                if pk in self._live:  # somebody else has it by now
                    self._live[pk][1].cancel()
        await self.engines.unload_idle(settings.CHAT_IDLE_SECONDS)

    async def _reclaim(self) -> None:
        if await self._read(turns.leases_reclaim):
            log.warning("took back turns whose worker was gone")

    async def _give_way(self) -> None:
        """A job waits for the device: finish what is in flight, but not for ever, and give it back. Where the lease was
        lost: at once, whether or not the database answers.
        """
        if not self.device.is_lost and (not self.device.held or await self.device.wanted_by() is None):
            return
        self._yielding = True
        try:
            end = time.monotonic() + settings.CHAT_GRACE_SECONDS
            if not self.device.is_lost:
                log.info("a job asks for the device")
            while self.engines.is_busy and not self.device.is_lost and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            for out, task in list(self._live.values()):
                if out.turn.needs_device:
                    task.cancel()
            await self.engines.clear()
            if self.device.is_lost:
                log.warning("the lease of the device was lost")
                self.device.drop()
            else:
                await self.device.release()
        finally:
            self._yielding = False

    async def _unload_all(self) -> None:
        await self.engines.clear()
        if self.device.held:
            await self.device.release()

    # --- turns ---

    def _begin(self, turn: Claimed) -> None:
        out = Writing(turn, self._teller)
        before = self._live.pop(turn.id, None)
        if before is not None:  # its lease had run out: that attempt is over
            before[1].cancel()
        self._live[turn.id] = out, asyncio.create_task(self._answer(turn, out))

    async def _answer(self, turn: Claimed, out: Writing) -> None:
        async def tell(note: str) -> None:
            if note or turn.id in self._noted:
                self._noted = self._noted | {turn.id} if note else self._noted - {turn.id}
                await self._read(turns.turns_note, ids=[turn.id], note=note)

        current = asyncio.current_task()
        write: Callable[..., Any] = turns.turn_end
        how: dict[str, Any] = {}
        try:
            async with self._places:
                if self._yielding and turn.needs_device:
                    raise Later
                ended: Ended = await answer(turn, self.engines, out, tell)
            columns = {name: getattr(ended, name) for name in Ended.__dataclass_fields__}
            how = {"state": State.DONE, "progress": out.progress(), **columns}
        except Later:
            write = turns.turn_put_back
        except asyncio.CancelledError:
            if turn.id in self._stopped:
                spent = {name: getattr(out, name) for name in ("prompt_tokens", "generated_tokens", "scored_tokens")}
                how = {"state": State.STOPPED, "progress": out.progress(), **spent}
            elif self.has_lost_device and turn.needs_device:
                write, how = turns.turn_broke, {"account": LOST}
            elif current is not None and current.cancelling():
                write = turns.turn_put_back
            else:  # not by us: something that it waited for was broken off, and would be again
                write, how = turns.turn_broke, {"account": "The model broke the answer off."}
        except Exception as error:
            write, how = self._broken_off(turn, out, error)
        # What came of it is known: whatever is broken off from here on, it goes into the row.
        end = asyncio.create_task(self._end(turn, out, write, how))
        while not end.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(end)

    def _broken_off(self, turn: Claimed, out: Writing, error: Exception) -> tuple[Callable[..., Any], dict[str, Any]]:
        """What is written of a turn that ended in an error."""
        device = lost_device(error)
        if device is not None:
            if not self.has_lost_device:
                words = str(device).splitlines()[0]  # CUDA's own
                log.critical("%s: this process cannot compute any more; it ends, for a fresh one to go on", words)
            self.has_lost_device = True
            self._over.set()
            return turns.turn_broke, {"account": LOST}
        if isinstance(error, UserError):
            return turns.turn_fail, {"code": error.code, "message": str(error), "progress": out.progress()}
        # What the error says may quote what somebody said: its kind is enough here.
        log.warning("turn %s attempt %d broke (%s)", turn.id, turn.attempt, type(error).__name__)
        words = str(error) if isinstance(error, AppError) else type(error).__name__
        return turns.turn_broke, {"account": f"The model failed: {words}"}

    async def _end(
        self,
        turn: Claimed,
        out: Writing,
        write: Callable[..., Any],
        how: dict[str, Any],
    ) -> None:
        mine = {"turn": turn.id, "attempt": turn.attempt}
        kept: object = None
        try:
            try:
                kept = await self._ends.write(write, **mine, **how)
            except Exception as error:  # never to be stored, however often it is tried
                log.error("turn %s cannot be stored (%s)", turn.id, type(error).__name__)
                nothing = Progress("", out.seq, [], [])
                fail = {"code": "chat-unwritable", "message": UNWRITABLE, "progress": nothing}
                await self._ends.write(turns.turn_fail, **mine, **fail)
        except Exception as error:
            log.error("the end of turn %s is not written (%s)", turn.id, type(error).__name__)
        finally:
            if turn.id in self._live and self._live[turn.id][0] is out:
                del self._live[turn.id]
                self._stopped.discard(turn.id)
                self._noted.discard(turn.id)
            if self._is_full:
                self._is_full = False
                pause = ROOM_SECONDS if self._places.locked() else 0
                asyncio.get_running_loop().call_later(pause, self._rung.set)
            if kept is False:
                await out.forget()
            else:
                out.end()

    async def _put_all_back(self) -> None:
        tasks = [task for _, task in self._live.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the database, from one thread ---

    async def _read(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        def ask() -> T:
            if connection.vendor != "sqlite":  # a file stays open for this thread: opening it costs more than asking
                close_old_connections()
            try:
                return function(*arguments, **named)
            except DatabaseError:
                connection.close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._database, ask)

    async def _patiently(self, function: Callable[..., T], **named: Any) -> T:
        """The same, until the database can be reached; a lease that runs out meanwhile makes the write void."""
        while True:
            try:
                return await self._read(function, **named)
            except PASSING as error:
                log.warning("the database does not answer (%s)", type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)
