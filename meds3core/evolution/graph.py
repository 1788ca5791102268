"""A run as a graph of stages: what each does, with which settings, on whose results.

A stage's key is a hash of its kind, settings and inputs, and through its inputs of everything before it. So equal work
has one key in every graph, and a change gives new keys to exactly the stages that depend on it. Light: nothing here
runs or imports what a stage does.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from meds3core.errors import ConfigError, UserError
from meds3core.types.record import Record

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class StageKind:
    """What stages of a kind do.

    `implementation` is `module:function`, imported in the stage's own process: `function(settings, job)` works in
    `job.folder` and returns figures (a JSON object). `version` is raised when equal settings and inputs would now give
    another result. `imports` are the heavy modules that it needs, which may be in memory already when it starts.
    `seconds_per_unit` is a first guess for stages whose `units` are given.
    """

    name: str
    version: int
    settings: type[Record]
    implementation: str
    imports: tuple[str, ...] = ()
    seconds_per_unit: float = 1.0


@dataclass(frozen=True, slots=True)
class StageRef:
    """A file or folder that another stage makes; an empty `path` is that stage's whole folder."""

    stage: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class External:
    """A file, or a folder such as a model's, from outside: known by its content, wherever it lies."""

    path: Path


Input = StageRef | External


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of work. `units` is its expected amount, for estimates of time only; it is no part of the key."""

    name: str
    kind: StageKind
    settings: Record
    inputs: Mapping[str, Input | tuple[Input, ...]] = field(default_factory=dict)
    units: float = 1.0

    def inputs_of(self, name: str) -> tuple[Input, ...]:
        """An input as a tuple, whether one or several were given."""
        value = self.inputs[name]
        return value if isinstance(value, tuple) else (value,)

    def parents(self) -> set[str]:
        """Names of the stages whose results this one reads."""
        return {entry.stage for name in self.inputs for entry in self.inputs_of(name) if isinstance(entry, StageRef)}


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage with its key, and the keys of what it reads."""

    stage: Stage
    key: str
    input_keys: Mapping[str, tuple[str, ...]]

    @property
    def folder(self) -> str:
        """Name of its folder in a store."""
        return f"{self.stage.kind.name}-{self.key[:16]}"


def plan(stages: Sequence[Stage], content: Callable[[Path], str] | None = None) -> dict[str, PlannedStage]:
    """All stages with their keys, each after those it depends on.

    `content` says what stands for a thing from outside, by default its hash: keys of two plans can be compared when
    both were made with the same one.

    Raises `ConfigError` for names used twice, missing stages and cycles, `UserError` for a missing file.
    """
    by_name: dict[str, Stage] = {}
    for stage in stages:
        if stage.name in by_name:
            raise ConfigError(f"two stages are named {stage.name}")
        if not isinstance(stage.settings, stage.kind.settings):
            raise ConfigError(
                f"stage {stage.name}: settings are {type(stage.settings).__name__}, "
                f"but {stage.kind.name} takes {stage.kind.settings.__name__}"
            )
        by_name[stage.name] = stage
    for stage in stages:
        for missing in sorted(stage.parents() - by_name.keys()):
            raise ConfigError(f"stage {stage.name} reads the result of {missing}, which is not in the graph")
    try:
        order = list(TopologicalSorter({stage.name: sorted(stage.parents()) for stage in stages}).static_order())
    except CycleError as error:
        raise ConfigError(f"stages wait for each other: {', '.join(error.args[1])}") from None
    planned: dict[str, PlannedStage] = {}
    for name in order:
        stage = by_name[name]
        keys = {
            entry: tuple(_input_key(one, planned, content or content_key) for one in stage.inputs_of(entry))
            for entry in stage.inputs
        }
        planned[name] = PlannedStage(stage, _stage_key(stage, keys), keys)
    return planned


def _input_key(entry: Input, planned: Mapping[str, PlannedStage], content: Callable[[Path], str]) -> str:
    if isinstance(entry, StageRef):
        return f"{planned[entry.stage].key}/{entry.path}"
    return content(entry.path)


def _stage_key(stage: Stage, input_keys: Mapping[str, tuple[str, ...]]) -> str:
    content = [
        stage.kind.name,
        stage.kind.version,
        json.loads(stage.settings.model_dump_json()),
        {name: list(keys) for name, keys in input_keys.items()},
    ]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def content_key(path: Path) -> str:
    """Hash of a file's content, or of the names and contents of all files in a folder. Raises `UserError`."""
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: the folder is empty")
        states = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
        return _content_key(str(path), states)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


@lru_cache(maxsize=256)
def _content_key(root: str, states: tuple[tuple[str, int, int], ...]) -> str:
    """`states` (name, size, time of change) are what the cached hash holds for."""
    digest = hashlib.blake2b(digest_size=16)
    for name, size, _ in states:
        inner = Path(name).relative_to(root).as_posix()
        digest.update(f"{len(inner)}:{inner}:{size}:".encode())
        with Path(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def dependants(planned: Mapping[str, PlannedStage], names: Iterable[str]) -> set[str]:
    """These stages and all that depend on them, near or far."""
    found = set(names)
    for name, entry in planned.items():  # in topological order
        if entry.stage.parents() & found:
            found.add(name)
    return found
