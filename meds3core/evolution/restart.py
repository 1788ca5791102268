"""A loop that goes on from another one's stages: which are taken over, and which are done anew.

Equal work has one key in every graph. So what settings left as it was is found in the other loop's store, and taking
it over means to link its folder: a finished folder is never written to again.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from meds3core.errors import ConfigError
from meds3core.evolution.graph import PlannedStage, dependants
from meds3core.evolution.store import finished_folder, read_record


def done_anew(planned: Mapping[str, PlannedStage], stage: str) -> set[str]:
    """The chosen stage and all that depend on it; none for an empty name. Raises `ConfigError` for an unknown one."""
    if stage and stage not in planned:
        raise ConfigError(f"with these settings the loop has no stage {stage}; choose another one to begin from")
    return dependants(planned, [stage]) if stage else set()


def left_alone(before: Mapping[str, PlannedStage], after: Mapping[str, PlannedStage], stage: str) -> set[str]:
    """Stages of `after` that `before` has too, with equal settings and inputs, and that do not follow from `stage`."""
    known = {entry.key for entry in before.values()}
    anew = done_anew(after, stage)
    return {name for name, entry in after.items() if entry.key in known and name not in anew}


def take_over(planned: Mapping[str, PlannedStage], store: Path, others: Iterable[Path], stage: str) -> set[str]:
    """Link into `store` what other stores have of this graph, but for `stage` and what depends on it.

    Gives the names of those that lie in another store; called again, it gives the same and links what is missing.
    """
    sources, anew = list(others), done_anew(planned, stage)
    taken: set[str] = set()
    for name, entry in planned.items():
        if name in anew:
            continue
        found = next((one for one in sources if read_record(one, entry.folder, entry.key) is not None), None)
        if found is None:
            continue
        if read_record(store, entry.folder, entry.key) is None:
            _link(finished_folder(found, entry.folder), finished_folder(store, entry.folder))
        taken.add(name)
    return taken


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.taken")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)  # not relied upon (see read_record)
    shutil.copytree(source, draft, copy_function=_link_or_copy)
    draft.rename(target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
