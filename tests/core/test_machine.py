"""Where a container or a service manager leaves a process less memory than the machine has."""

import psutil

from meds3core.machine import memory_limit

TOTAL = psutil.virtual_memory().total


def limited(tmp_path, own: str, **files: str) -> int:
    """`files`: what stands in the tree of control groups, `/` written as two underscores."""
    (tmp_path / "own").write_text(own)
    for name, content in files.items():
        path = tmp_path / "tree" / name.replace("__", "/").replace("memory_", "memory.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return memory_limit(tmp_path / "own", tmp_path / "tree")


def test_the_lowest_limit_above_a_process_counts(tmp_path):
    own = "0::/system.slice/chat.service\n"
    found = limited(
        tmp_path, own, system__memory_max="5", **{"system.slice__memory_max": "500000000\n",
                                                  "system.slice__chat.service__memory_max": "max\n"},
    )  # fmt: skip
    assert found == 500_000_000, "and not that of a group beside"


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    own = "5:cpuset:/docker/abc\n4:memory:/docker/abc\n0::/\n"
    assert limited(tmp_path, own, memory__memory_limit_in_bytes="300000000\n") == 300_000_000


def test_without_a_limit_it_is_the_machines_memory(tmp_path):
    own = "4:memory:/\n0::/\n"
    assert limited(tmp_path, own, memory__memory_limit_in_bytes=str((1 << 63) - 4096), memory_max="max") == TOTAL
    assert memory_limit(tmp_path / "none", tmp_path / "nowhere") == TOTAL
    assert 0 < memory_limit() <= TOTAL
