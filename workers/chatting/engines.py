"""Warm engines and reward models: loaded when somebody asks for one, unloaded when room or time runs out.

All turns of a model share its one engine, which batches them. Torch is imported with the first model.
"""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from meds3core.config.decoding import ScorerConfig
from meds3core.config.engine import EngineConfig
from meds3core.config.references import Registered
from meds3core.engines.base import Engine
from meds3core.errors import ConfigError
from webapp.common.files import Store, folder_of
from webapp.endpoints.keys import key_variable, remote_engine
from webapp.registry.models import ModelKind, ModelVersion
from workers import inputs
from workers.chatting.device import Device
from workers.chatting.memory import Plan, device_bytes, memory_budget, policy_plan, scorer_plan

Tell = Callable[[str], Awaitable[None]]
Read = Callable[..., Awaitable[Any]]

log = logging.getLogger(__name__)


Key = tuple[str, UUID]
"""`policy` or `prm`, and which."""

ANOTHER = "Waiting until another model is loaded."
"""What the others are told while the next in line has its model loaded."""

PATIENCE_SECONDS = 20.0
"""After so long a wait for room, those whose models are loaded wait behind it too: else it might never come."""


@dataclass
class Loaded:
    """Something that answers or scores."""

    key: Key
    thing: Any
    bytes: int
    made_for: str | None = None
    """Of a policy: the name of its own prompt."""
    folder: Path | None = None
    """Written for it alone; deleted with it."""
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    closing: "asyncio.Task[None] | None" = None

    @property
    def is_usable(self) -> bool:
        """Whether a request would be answered: an engine that broke down never answers again."""
        return self.closing is None and getattr(self.thing, "works", True)


@dataclass(eq=False)
class Waiting:
    """A turn that waits for models."""

    keys: frozenset[Key]
    tell: Tell
    told: str = ""

    async def hear(self, note: str, about: frozenset[Key] | None) -> None:
        """Tell the turn what it waits for; of models that are not its own, only that others come first."""
        words = note if about is None or about & self.keys else ANOTHER
        if words != self.told:
            self.told = words
            with suppress(DatabaseError):  # a convenience: the next one may get through
                await self.tell(words)


class Engines:
    """What is in memory, by what it is."""

    def __init__(self, device: Device, work: Path, read: Read) -> None:
        self.device = device
        self._work = work
        self._read = read
        self._loaded: dict[Key, Loaded] = {}
        self._loading: asyncio.Task[None] | None = None
        self._gate = asyncio.Lock()
        """One at a time makes room and loads; what is loaded is used without passing it."""
        self._left = asyncio.Event()
        self._short_since: float | None = None
        self._waiting: list[Waiting] = []
        self._said: tuple[str, frozenset[Key] | None] | None = None
        """What whoever is at the gate waits for, and the models that it is about; None: the device, for all."""

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded; whoever asked for it may have gone."""
        return self._loading is not None and not self._loading.done()

    @property
    def is_busy(self) -> bool:
        """Whether anything is in use, or on its way."""
        return self.is_loading or any(each.users for each in self._loaded.values())

    @asynccontextmanager
    async def local(
        self, policy: UUID | None, scorer: UUID | None, tell: Tell
    ) -> AsyncIterator[tuple[Loaded | None, Loaded | None]]:
        """The engine of a policy and a process reward model, as wanted, both at once: whoever holds one never waits for
        the other. Shared by all turns. Raises what loading them raises, and `ConfigError` where they do not fit.
        """
        wanted: tuple[Key | None, Key | None] = (
            ("policy", policy) if policy is not None else None,
            ("prm", scorer) if scorer is not None else None,
        )
        keys = [key for key in wanted if key is not None]
        taken = await self._take(keys, tell) if keys else {}
        try:
            yield tuple(taken[key] if key is not None else None for key in wanted)  # type: ignore[misc]
        finally:
            for each in taken.values():
                each.users -= 1
                each.used = time.monotonic()
            self._left.set()

    @asynccontextmanager
    async def remote(self, endpoint: UUID) -> AsyncIterator[Loaded]:
        """A remote engine; it needs no device of ours. Made anew for every turn: its key and address may change."""
        engine: Engine = await self._load_remote(endpoint)
        try:
            yield Loaded(("remote", endpoint), engine, 0)
        finally:
            await engine.close()

    async def unload_idle(self, seconds: float) -> None:
        """Unload what nobody used for so long, and what broke; without anything loaded the device is given back."""
        now = time.monotonic()
        for each in list(self._loaded.values()):
            if not each.users and (now - each.used >= seconds or not each.is_usable):
                await self._unload(each)
        if not self._loaded and not self.is_loading and not self._gate.locked() and self.device.held:
            await self.device.release()

    async def clear(self) -> None:
        """When nobody uses anything any more: unload everything, also what is still being loaded."""
        while self._loaded or self.is_loading:
            if self._loading is not None and not self._loading.done():
                await asyncio.wait({self._loading})
            self._left.clear()
            if any(each.users for each in self._loaded.values()):
                await self._left.wait()
                continue
            for each in list(self._loaded.values()):
                await self._unload(each)

    async def _take(self, keys: Sequence[Key], tell: Tell) -> dict[Key, Loaded]:
        overdue = self._short_since is not None and time.monotonic() - self._short_since > PATIENCE_SECONDS
        found = None if overdue else self._ready(keys)
        return self._used(found) if found is not None else await self._wait(Waiting(frozenset(keys), tell), keys)

    async def _wait(self, waiting: Waiting, keys: Sequence[Key]) -> dict[Key, Loaded]:
        self._waiting.append(waiting)
        try:
            if self._said is not None:
                await waiting.hear(*self._said)
            async with self._gate:
                try:
                    while (found := self._ready(keys)) is None:
                        await self._prepare(keys)
                    return self._used(found)
                finally:
                    self._said = None
        finally:
            self._waiting.remove(waiting)

    async def _say(self, note: str, about: frozenset[Key] | None = None) -> None:
        """What is waited for now, to all that wait."""
        self._said = note, about
        await asyncio.gather(*(each.hear(note, about) for each in self._waiting))

    def _ready(self, keys: Sequence[Key]) -> dict[Key, Loaded] | None:
        """All of them, if all can be used now. Nothing may be awaited between this and `_used`."""
        if not self.device.held:
            return None
        found = {key: self._loaded[key] for key in keys if key in self._loaded and self._loaded[key].is_usable}
        return found if len(found) == len(keys) else None

    @staticmethod
    def _used(found: dict[Key, Loaded]) -> dict[Key, Loaded]:
        for each in found.values():
            each.users += 1
        return found

    async def _prepare(self, keys: Sequence[Key]) -> None:
        """One more of what these need. Holds none of them meanwhile."""
        if self._loading is not None and not self._loading.done():  # for somebody who has gone
            await asyncio.wait({self._loading})
        if not self.device.held:
            await self.device.take(self._say)
        plans = {key: await self._plan(key) for key in keys}
        await self._make_room(plans)
        key = next((key for key in keys if key not in self._loaded), None)
        if key is None:
            return
        await self._say("Loading the model.", frozenset({key}))
        # A thread that loads cannot be broken off: who goes away leaves the model to whoever comes next.
        self._loading = asyncio.create_task(self._load(key, plans[key]))
        self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._loading)

    async def _plan(self, key: Key) -> Plan:
        whole, adapter = await self._read(_folders_of, key[1])
        make = policy_plan if key[0] == "policy" else scorer_plan
        return await asyncio.to_thread(make, whole, adapter, self.device)

    async def _load(self, key: Key, plan: Plan) -> None:
        if plan.engine is not None:
            loaded = await self._load_policy(key[1], plan.engine)
        else:
            loaded = await self._load_scorer(key[1])
        loaded.bytes = plan.need.total
        self._loaded[key] = loaded
        log.info("loaded %s %s", *key)

    async def _make_room(self, plans: Mapping[Key, Plan]) -> None:
        """Until all of these fit, beside what others use. Those of them that are there stay, unless they broke."""
        budget = memory_budget(self.device)
        need = sum(plan.need.total for plan in plans.values())
        if need > budget:
            raise ConfigError(_too_much(list(plans.values()), budget, device_bytes(self.device)))
        told = False
        try:
            while True:
                self._left.clear()  # before anybody is looked at: who leaves from here on is heard
                others = [each for each in self._loaded.values() if each.key not in plans or not each.is_usable]
                broken = [each for each in others if each.key in plans]
                if not broken and sum(each.bytes for each in others) + need <= budget:
                    return
                idle = [each for each in broken or others if not each.users]
                if idle:
                    await self._unload(min(idle, key=lambda each: each.used))
                elif not told:
                    told = True
                    self._short_since = time.monotonic()
                    await self._say("Waiting until another model is not needed any more.", frozenset(plans))
                else:
                    await self._left.wait()
        finally:
            self._short_since = None

    async def _unload(self, loaded: Loaded) -> None:
        """Give its memory back; it counts until then."""
        if loaded.closing is None:
            loaded.closing = asyncio.create_task(self._close(loaded))
        await asyncio.shield(loaded.closing)

    async def _close(self, loaded: Loaded) -> None:
        try:
            if loaded.key[0] == "prm":
                await loaded.thing.__aexit__(None, None, None)
                await asyncio.to_thread(loaded.thing.scorer.close)
            else:
                await loaded.thing.close()
            log.info("unloaded %s %s", *loaded.key)
        except Exception as error:  # what broke may not even close
            log.warning("%s %s did not unload (%s)", *loaded.key, type(error).__name__)
        finally:
            if loaded.folder is not None:
                await asyncio.to_thread(shutil.rmtree, loaded.folder, ignore_errors=True)
            del self._loaded[loaded.key]
            self._left.set()

    async def _load_policy(self, model: UUID, how: EngineConfig) -> Loaded:
        row = await self._read(inputs.model, Registered(kind="model", id=model), ModelKind.POLICY)
        folder = inputs.merged_folder(row, self._work)

        def load() -> tuple[Any, str]:  # minutes for an adapter, which is written into a copy of its base
            from meds3core.engines.loading import load_engine
            from meds3core.engines.policy import inspect_policy

            try:
                served = inputs.served_model(row, how, self._work)
                return load_engine(served.policy, served.engine), inspect_policy(served.policy).prompt
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

        engine, prompt = await asyncio.to_thread(load)
        return Loaded(("policy", model), engine, 0, prompt, folder)

    async def _load_scorer(self, model: UUID) -> Loaded:
        from meds3core.decoding.metering import SharedScorer

        found = await self._read(inputs.reward_model, Registered(kind="model", id=model), ModelKind.PRM)

        def load() -> Any:
            from meds3core.prm.loading import load_scorer  # torch: seconds, in which the loop goes on

            base = found.weights.path
            return load_scorer(found.path, ScorerConfig(), score_head=found.score_head, base=base)

        return Loaded(("prm", model), SharedScorer(await asyncio.to_thread(load)), 0)

    async def _load_remote(self, endpoint: UUID) -> Engine:
        from meds3core.engines.openai.engine import OpenAIEngine

        def load() -> OpenAIEngine:
            row = inputs.endpoint(Registered(kind="endpoint", id=endpoint))
            variable = key_variable(endpoint)
            os.environ.pop(variable, None)
            key = _key_of(row)
            if key:
                os.environ[variable] = key  # where the engine looks for it
            return OpenAIEngine(row.model, remote_engine(row).model_copy(update={"api": "chat"}))

        return await self._read(load)  # type: ignore[no-any-return]


def _folders_of(model: UUID) -> tuple[Path, Path | None]:
    """Where a whole model lies; of an adapter its base and itself."""
    row = ModelVersion.objects.select_related("base").filter(pk=model, ready=True).first()
    if row is None:
        raise inputs.InputGone("The model was deleted. Choose another one.")
    own = folder_of(Store.MODELS, row.pk)
    return (folder_of(Store.MODELS, row.base.pk), own) if row.is_adapter and row.base is not None else (own, None)


def _too_much(plans: Sequence[Plan], budget: int, device: int) -> str:
    """What is needed for what, what there is, and what helps."""
    what = "The model needs" if len(plans) == 1 else "The model and the reward model need"
    parts = {
        "of weights": sum(plan.need.weights for plan in plans),
        "of key-value cache": sum(plan.need.cache for plan in plans),
        "to compute with": sum(plan.need.working for plan in plans),
    }
    need = sum(parts.values())
    listed = ", ".join(f"{size >> 20} {of}" for of, size in parts.items() if size)
    helps = "raise MEDS3_CHAT_MEMORY_SHARE" if need < device else "give chats a larger device"
    return (
        f"{what} {need >> 20} MiB ({listed}), and chats may take {budget >> 20} of this device's {device >> 20} MiB. "
        f"The people who run this instance can {helps}."
    )


def _key_of(row: Any) -> str:
    from webapp.common.vault import VaultError, unseal

    try:
        return unseal(row.key_encrypted) if row.key_encrypted else ""
    except VaultError:
        return ""  # `remote_engine` says so
