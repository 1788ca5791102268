"""What of the machine this process may use, where a container or a service manager leaves it less than all."""

from contextlib import suppress
from pathlib import Path

from psutil import virtual_memory  # type: ignore[import-untyped]

_OWN = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


def memory_limit(own: Path = _OWN, root: Path = _ROOT) -> int:
    """Bytes of memory: the machine's, or less where a control group of the process (cgroup v1 or v2) has a limit."""
    return min([int(virtual_memory().total), *_limits(own, root)])


def _limits(own: Path, root: Path) -> list[int]:
    """Of the process's own group and of all that it lies in. Within a container the path of a group may be the host's,
    of which only the root can be seen: the container's own.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            tree, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            tree, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = tree / path.strip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # "max" is no number
                found.append(int((folder / name).read_text()))
            if folder == tree:
                break
    return found
